// The undo log records only what steps do (take a block, fill a slot, score, evict); contents of dead slots
// are not restored, because nothing reads them.
#include "cache/kv_cache.h"

#include <cstring>

#include "core/check.h"

namespace octavo {

namespace {

constexpr int64_t kMaxTensorBytes = (int64_t{1} << 32) - 1;

int64_t checked_block_elements(const KvCacheShape& shape) {
  int64_t elements = 0;
  int64_t total_bytes = 0;
  const bool overflows =
      __builtin_mul_overflow(int64_t{shape.num_kv_heads} * shape.block_size, int64_t{shape.head_dim},
                             &elements) ||
      __builtin_mul_overflow(elements * int64_t{sizeof(float)}, int64_t{shape.num_blocks}, &total_bytes);
  if (overflows || total_bytes > kMaxTensorBytes) {
    throw Error("ERR_OCTAVO_ARGUMENT", "Expected less than 4 GiB of keys in a layer but received numBlocks " +
                                           std::to_string(shape.num_blocks) + " of " +
                                           std::to_string(elements * int64_t{sizeof(float)}) +
                                           " bytes; give a smaller numBlocks");
  }
  return elements;
}

}  // namespace

KvCache::KvCache(const KvCacheShape& shape)
    : shape_(shape),
      block_elements_(checked_block_elements(shape)),
      pool_(shape.num_blocks),
      table_(shape.block_size) {
  const std::vector<int64_t> arena = {shape.num_blocks, shape.num_kv_heads, shape.block_size, shape.head_dim};
  keys_ = Tensor::zeros(DType::kF32, arena);
  values_ = Tensor::zeros(DType::kF32, arena);
  positions_ = Tensor::zeros(DType::kI32, {shape.num_blocks, shape.block_size});
  std::memset(positions_.data, 0xff, positions_.size_bytes());  // every byte 0xff is -1
  scores_.assign(static_cast<size_t>(shape.num_blocks), kNoScore);
}

std::vector<int32_t> KvCache::live_positions(int logical_index) const {
  const int32_t* first =
      positions_.i32() + static_cast<size_t>(table_.block_id(logical_index)) * shape_.block_size;
  return {first, first + table_.filled(logical_index)};
}

void KvCache::begin_step() { undo_.clear(); }

void KvCache::roll_back() {
  for (; !undo_.empty(); undo_.pop_back()) {
    const Undo& undo = undo_.back();
    const auto block = static_cast<size_t>(undo.block_id);
    switch (undo.change) {
      case Change::kBlock:
        table_.undo_append_block();
        pool_.undo_allocate(undo.block_id);
        scores_[block] = undo.score;
        break;
      case Change::kSlot:
        table_.undo_append_slot();
        positions_.i32()[block * shape_.block_size + undo.filled] = undo.position;
        break;
      case Change::kScore:
        scores_[block] = undo.score;
        break;
      case Change::kEviction:
        pool_.undo_release(undo.block_id, undo.freed);
        table_.undo_erase_block(undo.logical_index, undo.block_id, undo.filled);
        break;
    }
  }
}

void KvCache::append(const float* key, const float* value, int64_t position) {
  if (table_.is_full()) {
    const int block_id = pool_.allocate();
    table_.append_block(block_id);
    undo_.push_back({.change = Change::kBlock, .block_id = block_id, .score = score(block_id)});
    scores_[static_cast<size_t>(block_id)] = kNoScore;
  }
  const int32_t block_id = table_.block_ids().back();
  const int slot = table_.append_slot();
  const auto head_dim = static_cast<size_t>(shape_.head_dim);
  for (int head = 0; head < shape_.num_kv_heads; ++head) {
    const size_t to =
        block_offset(block_id) + (static_cast<size_t>(head) * shape_.block_size + slot) * head_dim;
    const size_t from = static_cast<size_t>(head) * head_dim;
    std::memcpy(keys_.f32() + to, key + from, head_dim * sizeof(float));
    std::memcpy(values_.f32() + to, value + from, head_dim * sizeof(float));
  }
  int32_t& slot_position = positions_.i32()[static_cast<size_t>(block_id) * shape_.block_size + slot];
  undo_.push_back({.change = Change::kSlot, .block_id = block_id, .filled = slot, .position = slot_position});
  slot_position = static_cast<int32_t>(position);
}

void KvCache::set_score(int block_id, float score) {
  undo_.push_back({.change = Change::kScore, .block_id = block_id, .score = this->score(block_id)});
  scores_[static_cast<size_t>(block_id)] = score;
}

EvictedBlock KvCache::evict(int logical_index) {
  EvictedBlock evicted{
      .block_id = table_.block_id(logical_index), .freed = false, .positions = live_positions(logical_index)};
  table_.erase_block(logical_index);
  evicted.freed = pool_.release(evicted.block_id);
  undo_.push_back({.change = Change::kEviction,
                   .block_id = evicted.block_id,
                   .logical_index = logical_index,
                   .filled = static_cast<int>(evicted.positions.size()),
                   .freed = evicted.freed});
  return evicted;
}

void KvCache::clear() {
  while (table_.num_blocks() > 0) pool_.release(table_.erase_block(table_.num_blocks() - 1));
  undo_.clear();
}

}  // namespace octavo
