// Zeroed memory is committed on first touch, so a large pool costs what is used of it.
#include "cache/kv_arena.h"

#include <cstring>
#include <limits>
#include <string>

#include "core/check.h"
#include "core/half.h"
#include "core/thread_pool.h"

namespace octavo {

namespace {

constexpr int64_t kMaxTensorBytes = (int64_t{1} << 32) - 1;

int64_t checked_block_elements(const KvCacheShape& shape) {
  if (shape.dtype == DType::kI32)
    throw Error("ERR_OCTAVO_DTYPE", "Expected f32, bf16 or f16 keys and values but received i32");
  const auto element_bytes = static_cast<int64_t>(dtype_size_bytes(shape.dtype));
  int64_t elements = 0;
  int64_t total_bytes = 0;
  const bool overflows =
      __builtin_mul_overflow(int64_t{shape.num_kv_heads} * shape.block_size, int64_t{shape.head_dim},
                             &elements) ||
      __builtin_mul_overflow(elements * element_bytes, int64_t{shape.num_blocks}, &total_bytes);
  if (overflows || total_bytes > kMaxTensorBytes) {
    throw Error("ERR_OCTAVO_ARGUMENT", "Expected less than 4 GiB of keys in a layer but received numBlocks " +
                                           std::to_string(shape.num_blocks) + " of " +
                                           std::to_string(elements * element_bytes) +
                                           " bytes; give a smaller numBlocks");
  }
  return elements;
}

Tensor keys_or_values(const KvCacheShape& shape) {
  return Tensor::zeros(shape.dtype, {shape.num_blocks, shape.num_kv_heads, shape.block_size, shape.head_dim},
                       HugePages::kAsFilled);
}

}  // namespace

KvArena::KvArena(const KvCacheShape& shape) : KvArena(shape, nullptr) {}

KvArena::KvArena(const KvCacheShape& shape, const KvArena* of)
    : shape(shape),
      block_elements(checked_block_elements(shape)),
      keys(of ? of->keys : keys_or_values(shape)),
      values(of ? of->values : keys_or_values(shape)),
      pool_(of ? of->pool_ : std::make_shared<Pool>(shape.num_blocks, shape.block_size)),
      mutex(pool_->mutex),
      pool(pool_->pool) {
  positions = Tensor::zeros(DType::kI32,
                            shape.per_head
                                ? std::vector<int64_t>{shape.num_blocks, shape.num_kv_heads, shape.block_size}
                                : std::vector<int64_t>{shape.num_blocks, shape.block_size});
  std::memset(positions.data, 0xff, positions.size_bytes());  // every byte 0xff is -1
}

std::shared_ptr<KvArena> KvArena::with_positions_by_head(const KvArena& arena) {
  KvCacheShape shape = arena.shape;
  shape.per_head = true;
  return std::shared_ptr<KvArena>(new KvArena(shape, &arena));
}

// The pool gives the lowest free block, so those below the highest in use have been filled.
int KvArena::allocate(int covered) {
  const int block_id = pool.allocate(covered);
  if (block_id <= pool_->highest) return block_id;
  for (const Tensor* tensor : {&keys, &values})
    tensor->use_huge_pages(block_offset(pool_->highest), block_offset(block_id));
  pool_->highest = block_id;
  return block_id;
}

int32_t* KvArena::block_positions(int block_id) const {
  return positions.i32() + static_cast<size_t>(block_id) * static_cast<size_t>(num_position_rows()) *
                               static_cast<size_t>(shape.block_size);
}

void KvArena::write_vector(const float* from, std::byte* to) const {
  if (shape.dtype == DType::kF32) {
    std::memcpy(to, from, vector_bytes());
    return;
  }
  auto* const numbers = reinterpret_cast<uint16_t*>(to);
  for (int i = 0; i < shape.head_dim; ++i)
    numbers[i] = shape.dtype == DType::kBf16 ? narrow_to_bf16(from[i]) : narrow_to_f16(from[i]);
}

void KvArena::read_vector(const std::byte* from, float* to) const {
  if (shape.dtype == DType::kF32) {
    std::memcpy(to, from, vector_bytes());
    return;
  }
  const auto* const numbers = reinterpret_cast<const uint16_t*>(from);
  for (int i = 0; i < shape.head_dim; ++i)
    to[i] = shape.dtype == DType::kBf16 ? widen_bf16(numbers[i]) : widen_f16(numbers[i]);
}

void KvArena::round_numbers(float* numbers, int64_t count) const {
  if (shape.dtype == DType::kF32) return;
  const bool is_bf16 = shape.dtype == DType::kBf16;
  parallel_for_worthwhile(count, static_cast<double>(count) * 8, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      numbers[i] = is_bf16 ? widen_bf16(narrow_to_bf16(numbers[i])) : widen_f16(narrow_to_f16(numbers[i]));
    }
  });
}

void KvArena::copy_block(const KvArena& source, int from, int to, int num_slots) const {
  const size_t head = static_cast<size_t>(shape.block_size) * vector_bytes();
  const size_t bytes = static_cast<size_t>(num_slots) * vector_bytes();
  for (size_t index = 0; index < static_cast<size_t>(shape.num_kv_heads); ++index) {
    std::memcpy(block_keys(to) + index * head, source.block_keys(from) + index * head, bytes);
    std::memcpy(block_values(to) + index * head, source.block_values(from) + index * head, bytes);
  }
  for (int64_t row = 0; row < num_position_rows(); ++row) {
    std::memcpy(block_positions(to) + row * shape.block_size,
                source.block_positions(from) + row * shape.block_size,
                static_cast<size_t>(num_slots) * sizeof(int32_t));
  }
}

}  // namespace octavo
