// The memory of one layer's blocks and the pool that hands them out. Forked sessions share it, each from a
// thread of its own, so the pool is touched under a lock; keys and values need none, as no slot that a holder
// covers is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "cache/block_pool.h"
#include "core/tensor.h"

namespace octavo {

struct KvCacheShape {
  int num_blocks;
  int num_kv_heads;
  int block_size;
  int head_dim;
  bool per_head = false;      // whether each KV head holds tokens of its own in a slot
  DType dtype = DType::kF32;  // of keys and values: f32, bf16 or f16
};

struct KvArena {
  // Throws ERR_OCTAVO_ARGUMENT when a tensor would reach 4 GiB, the most that one JavaScript buffer can show.
  explicit KvArena(const KvCacheShape& shape);
  // The same blocks out of the same pool, with positions of each KV head: for tables whose heads hold tokens
  // of their own, beside others.
  static std::shared_ptr<KvArena> with_positions_by_head(const KvArena& arena);

  // Keys or values of a block: [num_kv_heads, block_size, head_dim] of the shape's dtype.
  std::byte* block_keys(int block_id) const {
    return static_cast<std::byte*>(keys.data) + block_offset(block_id);
  }
  std::byte* block_values(int block_id) const {
    return static_cast<std::byte*>(values.data) + block_offset(block_id);
  }
  // Bytes of one head's key or value in a slot.
  size_t vector_bytes() const { return static_cast<size_t>(shape.head_dim) * dtype_size_bytes(shape.dtype); }
  // Numbers into a slot's place, rounded to nearest even where it holds 16-bit ones; and back.
  void write_vector(const float* from,  // [head_dim]
                    std::byte* to) const;
  void read_vector(const std::byte* from,
                   float* to) const;  // [head_dim]
  // Numbers as what is cached of them.
  void round_numbers(float* numbers, int64_t count) const;
  // KV heads that have positions of their own: all, or one for all.
  int num_position_rows() const { return shape.per_head ? shape.num_kv_heads : 1; }
  // Of keys and values.
  double size_bytes() const { return static_cast<double>(keys.size_bytes() + values.size_bytes()); }
  int32_t* block_positions(int block_id) const;  // [num_position_rows, block_size]
  // A block of the pool, as BlockPool::allocate; with the lock held. Memory that blocks have filled so far
  // is backed by huge pages.
  int allocate(int covered = 0);
  // Copies the first num_slots slots of a block, of this arena or of another one of the same shape of blocks.
  void copy_block(int from, int to, int num_slots) const { copy_block(*this, from, to, num_slots); }
  void copy_block(const KvArena& source, int from, int to, int num_slots) const;

  const KvCacheShape shape;
  const int64_t block_elements;
  Tensor keys;       // [num_blocks, num_kv_heads, block_size, head_dim] of the shape's dtype
  Tensor values;     // the same
  Tensor positions;  // i32 [num_blocks, block_size], or [num_blocks, num_kv_heads, block_size] where heads
                     // differ; -1 where never filled

 private:
  struct Pool {
    Pool(int num_blocks, int block_size) : pool(num_blocks, block_size) {}
    std::mutex mutex;
    BlockPool pool;
    int highest = 0;  // block that was ever in use
  };
  // of: whose blocks; null: blocks of its own.
  KvArena(const KvCacheShape& shape, const KvArena* of);

  std::shared_ptr<Pool> pool_;

 public:
  std::mutex& mutex;  // guards pool
  BlockPool& pool;

 private:
  size_t block_offset(int block_id) const {
    return static_cast<size_t>(block_id) * static_cast<size_t>(block_elements) *
           dtype_size_bytes(shape.dtype);
  }
};

}  // namespace octavo
