// See kv_cache.h. What each change leaves in the undo log is read in kv_cache_undo.cpp.
#include "cache/kv_cache.h"

#include <algorithm>
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

bool KvCache::shares_blocks() const {
  const std::lock_guard lock(arena_->mutex);
  const auto& ids = table_.block_ids();
  return std::any_of(ids.begin(), ids.end(), [&](int32_t id) { return arena_->pool.ref_count(id) > 1; });
}

int32_t KvCache::slot_position(int64_t slot, int row) const {
  return arena_->block_positions(id_of(slot))[int64_t{row} * shape().block_size + slot % shape().block_size];
}

std::vector<int32_t> KvCache::live_positions(int logical_index, int row) const {
  std::vector<int32_t> positions;
  const int64_t first = int64_t{logical_index} * shape().block_size;
  const int filled = table_.filled(logical_index);
  positions.reserve(static_cast<size_t>(filled));
  for (int64_t slot = first; slot < first + filled; ++slot) {
    if (!table_.is_dead(slot)) positions.push_back(slot_position(slot, row));
  }
  return positions;
}

// With the lock held. A slot that another holder covers is not ours to write.
bool KvCache::must_copy_newest() const {
  return !table_.is_full() &&
         arena_->pool.is_covered_beyond(table_.block_ids().back(), table_.filled(table_.num_blocks() - 1));
}

int64_t KvCache::num_blocks_needed(int64_t num_tokens, bool others_first) const {
  if (num_tokens == 0) return 0;
  const std::lock_guard lock(arena_->mutex);
  const int64_t missing = num_tokens - (table_.allocated_tokens() - table_.num_slots());
  const int64_t num_new = missing <= 0 ? 0 : (missing + table_.block_size() - 1) / table_.block_size();
  const bool is_shared = !table_.is_full() && arena_->pool.ref_count(table_.block_ids().back()) > 1;
  return num_new + (must_copy_newest() || (others_first && is_shared) ? 1 : 0);
}

// With the lock held.
void KvCache::copy_block_at(int logical_index) {
  const int filled = table_.filled(logical_index);
  const int copy = arena_->allocate(filled);
  const int32_t original = table_.replace_block(logical_index, copy);
  arena_->copy_block(original, copy, filled);
  undo_.push_back({.change = Change::kCopy,
                   .block_id = copy,
                   .logical_index = logical_index,
                   .filled = filled,
                   .copied_from = original});
}

void KvCache::append(const float* key, const float* value, int64_t position) {
  const auto num_heads = static_cast<size_t>(shape().num_kv_heads);
  std::vector<const float*> keys(num_heads), values(num_heads);
  for (size_t head = 0; head < num_heads; ++head) {
    keys[head] = key + head * static_cast<size_t>(shape().head_dim);
    values[head] = value + head * static_cast<size_t>(shape().head_dim);
  }
  const std::vector<int32_t> positions(static_cast<size_t>(num_position_rows()),
                                       static_cast<int32_t>(position));
  append_per_head(keys.data(), values.data(), positions.data());
}

void KvCache::append_per_head(const float* const* keys, const float* const* values,
                              const int32_t* positions) {
  int block_id;
  int slot;
  {
    const std::lock_guard lock(arena_->mutex);
    if (!undo_.empty() && undo_.back().change == Change::kDrop) {
      throw Error("ERR_OCTAVO_BLOCK", "Expected no append after a slot was given up in the same step");
    }
    if (table_.is_full()) {
      table_.append_block(arena_->allocate());
      undo_.push_back({.change = Change::kBlock, .block_id = table_.block_ids().back()});
    } else if (must_copy_newest()) {
      copy_block_at(table_.num_blocks() - 1);
    }
    block_id = table_.block_ids().back();
    slot = table_.append_slot();
    arena_->pool.cover(block_id, slot, slot + 1);
    // A prompt's tokens share an entry for each block.
    const bool follows = !undo_.empty() && undo_.back().change == Change::kSlot;
    if (!follows) undo_.push_back({.change = Change::kSlot, .block_id = block_id, .filled = slot});
    ++undo_.back().num_slots;
    int32_t* stored = arena_->block_positions(block_id) + slot;
    for (int row = 0; row < num_position_rows(); ++row, stored += shape().block_size) {
      undo_positions_.push_back(std::exchange(*stored, positions[row]));
    }
  }
  for (int head = 0; head < shape().num_kv_heads; ++head) {
    arena_->write_vector(keys[head], arena_->block_keys(block_id) + place_of(slot, head));
    arena_->write_vector(values[head], arena_->block_values(block_id) + place_of(slot, head));
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
  EvictedBlock evicted{.block_id = table_.block_id(logical_index), .freed = false, .positions = {}};
  for (int row = 0; row < num_position_rows(); ++row) {
    evicted.positions.push_back(live_positions(logical_index, row));
  }
  evicted.freed = erase(logical_index);
  return evicted;
}

// Takes a block out of the table; whether nothing else holds it.
bool KvCache::erase(int logical_index) {
  const int block_id = table_.block_id(logical_index);
  undo_.push_back({.change = Change::kEviction,
                   .block_id = block_id,
                   .logical_index = logical_index,
                   .filled = table_.filled(logical_index),
                   .score = table_.score(logical_index),
                   .dead_words = table_.dead_words(logical_index)});
  table_.erase_block(logical_index);
  return ref_count(block_id) == 1;
}

void KvCache::mark_dead(int64_t slot) {
  table_.set_dead(slot, true);
  undo_.push_back({.change = Change::kDeath, .slot = slot});
}

// Makes the slot's block this table's own, and keeps what the slot holds.
void KvCache::prepare_overwrite(int64_t slot) {
  const std::lock_guard lock(arena_->mutex);
  if (arena_->pool.ref_count(id_of(slot)) > 1) copy_block_at(static_cast<int>(slot / shape().block_size));
  undo_.push_back({.change = Change::kOverwrite,
                   .block_id = id_of(slot),
                   .slot = slot % shape().block_size,
                   .saved = undo_bytes_.size()});
  const size_t bytes = arena_->vector_bytes();
  undo_bytes_.resize(undo_bytes_.size() + static_cast<size_t>(2 * shape().num_kv_heads) * bytes +
                     static_cast<size_t>(num_position_rows()) * sizeof(int32_t));
  std::byte* saved = undo_bytes_.data() + undo_.back().saved;
  const auto save = [&](const void* from, size_t size) {
    std::memcpy(saved, from, size);
    saved += size;
  };
  for (int head = 0; head < shape().num_kv_heads; ++head) save(key_at(slot, head), bytes);
  for (int head = 0; head < shape().num_kv_heads; ++head) save(value_at(slot, head), bytes);
  const int32_t* position = arena_->block_positions(id_of(slot)) + slot % shape().block_size;
  for (int row = 0; row < num_position_rows(); ++row, position += shape().block_size)
    save(position, sizeof *position);
}

void KvCache::copy_slot(int64_t from, int64_t to) {
  copy_heads(from, to, 0, shape().num_kv_heads);
  if (!table_.is_dead(to)) return;
  table_.set_dead(to, false);
  undo_.push_back({.change = Change::kRevival, .slot = to});
}

void KvCache::copy_slot_of_head(int64_t from, int64_t to, int head) { copy_heads(from, to, head, head + 1); }

void KvCache::copy_heads(int64_t from, int64_t to, int first_head, int last_head) {
  prepare_overwrite(to);
  const size_t bytes = arena_->vector_bytes();
  for (int head = first_head; head < last_head; ++head) {
    std::memcpy(key_at(to, head), key_at(from, head), bytes);
    std::memcpy(value_at(to, head), value_at(from, head), bytes);
  }
  int32_t* positions = arena_->block_positions(id_of(to)) + to % shape().block_size;
  for (int row = 0; row < num_position_rows(); ++row) {
    const bool is_copied = !shape().per_head || (row >= first_head && row < last_head);
    if (is_copied) positions[int64_t{row} * shape().block_size] = slot_position(from, row);
  }
}

void KvCache::write_keys(int64_t slot, const float* keys) {
  prepare_overwrite(slot);
  for (int head = 0; head < shape().num_kv_heads; ++head, keys += shape().head_dim) {
    arena_->write_vector(keys, key_at(slot, head));
  }
}

bool KvCache::drop_newest_slot() {
  const int newest = table_.num_blocks() - 1;
  if (table_.filled(newest) == 1) {
    const bool is_new = is_new_in_step(table_.block_id(newest));
    return erase(newest) && !is_new;
  }
  undo_.push_back(
      {.change = Change::kDrop, .block_id = table_.block_id(newest), .filled = table_.filled(newest)});
  table_.drop_slot();
  return false;
}

bool KvCache::is_new_in_step(int block_id) const {
  return std::any_of(undo_.begin(), undo_.end(), [&](const Undo& undo) {
    return undo.change == Change::kBlock && undo.block_id == block_id;
  });
}

void KvCache::restore(const HeldTable& held) {
  clear();  // the held table keeps its blocks meanwhile
  arena_ = held.arena();
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
      const int block_id = arena->allocate(filled);
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
