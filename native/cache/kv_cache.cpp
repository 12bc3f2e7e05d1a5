// The undo log records only what steps do (take or copy a block, fill a slot, score, evict); contents of dead
// slots are not restored, because nothing reads them.
#include "cache/kv_cache.h"

#include <cstring>
#include <utility>

#include "core/check.h"

namespace octavo {

KvCache::KvCache(const KvCacheShape& shape)
    : arena_(std::make_shared<KvArena>(shape)), table_(shape.block_size) {}

KvCache::KvCache(std::shared_ptr<KvArena> arena)
    : arena_(std::move(arena)), table_(arena_->shape.block_size) {}

KvCache::KvCache(const HeldTable& held) : arena_(held.arena()), table_(held.table()) { retain_table(); }

KvCache::~KvCache() {
  if (arena_) clear();
}

PoolCounts KvCache::pool_counts() const {
  const std::lock_guard lock(arena_->mutex);
  return {.num_blocks = arena_->pool.num_blocks(),
          .num_free = arena_->pool.num_free(),
          .num_parked = arena_->pool.num_parked()};
}

int KvCache::ref_count(int block_id) const {
  const std::lock_guard lock(arena_->mutex);
  return arena_->pool.ref_count(block_id);
}

std::vector<int32_t> KvCache::live_positions(int logical_index) const {
  const int32_t* first = arena_->block_positions(table_.block_id(logical_index));
  return {first, first + table_.filled(logical_index)};
}

// With the lock held. A slot that another holder covers is not ours to write.
bool KvCache::must_copy_newest() const {
  return !table_.is_full() &&
         arena_->pool.is_covered_beyond(table_.block_ids().back(), table_.filled(table_.num_blocks() - 1));
}

int64_t KvCache::num_blocks_needed(int64_t num_tokens) const {
  const std::lock_guard lock(arena_->mutex);
  const int64_t missing = num_tokens - (table_.allocated_tokens() - table_.kv_len());
  const int64_t num_new = missing <= 0 ? 0 : (missing + table_.block_size() - 1) / table_.block_size();
  return num_new + (must_copy_newest() ? 1 : 0);
}

void KvCache::commit_step() {
  const std::lock_guard lock(arena_->mutex);
  for (const Undo& undo : undo_) {
    if (undo.change == Change::kEviction) arena_->pool.release(undo.block_id, undo.filled, Holder::kTable);
    if (undo.change == Change::kCopy) arena_->pool.release(undo.copied_from, undo.filled, Holder::kTable);
  }
  undo_.clear();
}

void KvCache::undo_in_table(const Undo& undo, BlockTable& table) {
  switch (undo.change) {
    case Change::kBlock:
      table.undo_append_block();
      break;
    case Change::kCopy:
      table.replace_block(table.num_blocks() - 1, undo.copied_from);
      break;
    case Change::kSlot:
      table.undo_append_slot();
      break;
    case Change::kScore:
      table.set_score(undo.logical_index, undo.score);
      break;
    case Change::kEviction:
      table.undo_erase_block(undo.logical_index, undo.block_id, undo.filled, undo.score);
      break;
  }
}

void KvCache::roll_back() {
  const std::lock_guard lock(arena_->mutex);
  for (; !undo_.empty(); undo_.pop_back()) {
    const Undo& undo = undo_.back();
    undo_in_table(undo, table_);
    if (undo.change == Change::kBlock) arena_->pool.release(undo.block_id, 0, Holder::kTable);
    if (undo.change == Change::kCopy) arena_->pool.release(undo.block_id, undo.filled, Holder::kTable);
    if (undo.change == Change::kSlot) {
      arena_->pool.cover(undo.block_id, undo.filled + 1, undo.filled);
      arena_->block_positions(undo.block_id)[undo.filled] = undo.position;
    }
  }
}

void KvCache::append(const float* key, const float* value, int64_t position) {
  int32_t block_id;
  int slot;
  {
    const std::lock_guard lock(arena_->mutex);
    if (table_.is_full()) {
      table_.append_block(arena_->pool.allocate());
      undo_.push_back({.change = Change::kBlock, .block_id = table_.block_ids().back()});
    } else if (must_copy_newest()) {
      const int filled = table_.filled(table_.num_blocks() - 1);
      const int copy = arena_->pool.allocate(filled);
      const int32_t original = table_.replace_block(table_.num_blocks() - 1, copy);
      arena_->copy_block(original, copy, filled);
      undo_.push_back({.change = Change::kCopy, .block_id = copy, .filled = filled, .copied_from = original});
    }
    block_id = table_.block_ids().back();
    slot = table_.append_slot();
    arena_->pool.cover(block_id, slot, slot + 1);
    int32_t& slot_position = arena_->block_positions(block_id)[slot];
    undo_.push_back(
        {.change = Change::kSlot, .block_id = block_id, .filled = slot, .position = slot_position});
    slot_position = static_cast<int32_t>(position);
  }
  const auto head_dim = static_cast<size_t>(shape().head_dim);
  for (int head = 0; head < shape().num_kv_heads; ++head) {
    const size_t to = (static_cast<size_t>(head) * shape().block_size + slot) * head_dim;
    const size_t from = static_cast<size_t>(head) * head_dim;
    std::memcpy(arena_->block_keys(block_id) + to, key + from, head_dim * sizeof(float));
    std::memcpy(arena_->block_values(block_id) + to, value + from, head_dim * sizeof(float));
  }
}

void KvCache::set_score(int logical_index, float score) {
  undo_.push_back({.change = Change::kScore,
                   .block_id = table_.block_id(logical_index),
                   .logical_index = logical_index,
                   .score = table_.score(logical_index)});
  table_.set_score(logical_index, score);
}

EvictedBlock KvCache::evict(int logical_index) {
  EvictedBlock evicted{.block_id = table_.block_id(logical_index),
                       .freed = ref_count(table_.block_id(logical_index)) == 1,
                       .positions = live_positions(logical_index)};
  undo_.push_back({.change = Change::kEviction,
                   .block_id = evicted.block_id,
                   .logical_index = logical_index,
                   .filled = table_.filled(logical_index),
                   .score = table_.score(logical_index)});
  table_.erase_block(logical_index);
  return evicted;
}

HeldTable KvCache::hold() const {
  BlockTable table = table_;
  for (auto undo = undo_.rbegin(); undo != undo_.rend(); ++undo) undo_in_table(*undo, table);
  return {arena_, std::move(table)};
}

void KvCache::restore(const HeldTable& held) {
  clear();  // the held table keeps its blocks meanwhile
  table_ = held.table();
  retain_table();
}

void KvCache::move_to(std::shared_ptr<KvArena> arena) {
  roll_back();
  BlockTable moved = table_;
  {
    const std::lock_guard lock(arena->mutex);
    if (arena->pool.num_free() < moved.num_blocks()) {
      throw Error("ERR_OCTAVO_POOL_EXHAUSTED", "Expected " + std::to_string(moved.num_blocks()) +
                                                   " free blocks to move to but there are " +
                                                   std::to_string(arena->pool.num_free()));
    }
    for (int index = 0; index < moved.num_blocks(); ++index) {
      const int filled = moved.filled(index);
      const int block_id = arena->pool.allocate(filled);
      arena->copy_block(*arena_, moved.replace_block(index, block_id), block_id, filled);
    }
  }
  clear();
  arena_ = std::move(arena);
  table_ = std::move(moved);
}

void KvCache::clear() {
  roll_back();
  const std::lock_guard lock(arena_->mutex);
  for (int index = 0; index < table_.num_blocks(); ++index) {
    arena_->pool.release(table_.block_id(index), table_.filled(index), Holder::kTable);
  }
  table_ = BlockTable(table_.block_size());
}

void KvCache::retain_table() {
  const std::lock_guard lock(arena_->mutex);
  for (int index = 0; index < table_.num_blocks(); ++index) {
    arena_->pool.retain(table_.block_id(index), table_.filled(index), Holder::kTable);
  }
}

}  // namespace octavo
