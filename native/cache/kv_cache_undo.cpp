// The undo log records only what steps do; contents of dead slots are not restored, because nothing reads
// them. A reference that a step gives up, and a slot's cover, go with the commit: until then no other holder
// may write what a roll-back would need.
#include <algorithm>
#include <cstring>
#include <utility>

#include "cache/kv_cache.h"

namespace octavo {

void KvCache::commit_step() {
  const std::lock_guard lock(arena_->mutex);
  for (const Undo& undo : undo_) {
    if (undo.change == Change::kEviction) arena_->pool.release(undo.block_id, undo.filled, Holder::kTable);
    if (undo.change == Change::kCopy) arena_->pool.release(undo.copied_from, undo.filled, Holder::kTable);
    if (undo.change == Change::kDrop) arena_->pool.cover(undo.block_id, undo.filled, undo.filled - 1);
  }
  undo_.clear();
  undo_positions_.clear();
  undo_bytes_.clear();
}

// Small pieces of memory that outlive a layer would otherwise lie between the large ones of its products, and
// keep these from being used again.
void KvCache::reserve_undo(int64_t num_tokens) {
  undo_.reserve(static_cast<size_t>(2 * (num_tokens / shape().block_size + 4)));
  undo_positions_.reserve(static_cast<size_t>(num_tokens * num_position_rows()));
}

void KvCache::undo_in_table(const Undo& undo, BlockTable& table) {
  switch (undo.change) {
    case Change::kBlock:
      table.undo_append_block();
      break;
    case Change::kCopy:
      table.replace_block(undo.logical_index, undo.copied_from);
      break;
    case Change::kSlot:
      for (int i = 0; i < undo.num_slots; ++i) table.undo_append_slot();
      break;
    case Change::kScore:
      table.set_score(undo.logical_index, undo.score);
      break;
    case Change::kEviction:
      table.undo_erase_block(undo.logical_index, undo.block_id, undo.filled, undo.score, undo.dead_words);
      break;
    case Change::kDrop:
      table.undo_drop_slot();
      break;
    case Change::kDeath:
      table.set_dead(undo.slot, false);
      break;
    case Change::kRevival:
      table.set_dead(undo.slot, true);
      break;
    case Change::kOverwrite:
      break;
  }
}

// In a block that stands for the one that was written.
void KvCache::undo_overwrite(const Undo& undo, int block_id) const {
  const std::byte* saved = undo_bytes_.data() + undo.saved;
  const auto put_back = [&](void* to, size_t size) {
    std::memcpy(to, saved, size);
    saved += size;
  };
  for (std::byte* half : {arena_->block_keys(block_id), arena_->block_values(block_id)})
    for (int head = 0; head < shape().num_kv_heads; ++head)
      put_back(half + place_of(undo.slot, head), arena_->vector_bytes());
  int32_t* position = arena_->block_positions(block_id) + undo.slot;
  for (int row = 0; row < num_position_rows(); ++row, position += shape().block_size)
    put_back(position, sizeof *position);
}

void KvCache::roll_back() {
  const std::lock_guard lock(arena_->mutex);
  for (; !undo_.empty(); undo_.pop_back()) {
    const Undo& undo = undo_.back();
    undo_in_table(undo, table_);
    if (undo.change == Change::kBlock) arena_->pool.release(undo.block_id, 0, Holder::kTable);
    if (undo.change == Change::kCopy) arena_->pool.release(undo.block_id, undo.filled, Holder::kTable);
    if (undo.change == Change::kOverwrite) {
      undo_overwrite(undo, undo.block_id);
      undo_bytes_.resize(undo.saved);
    }
    if (undo.change == Change::kSlot) {
      arena_->pool.cover(undo.block_id, undo.filled + undo.num_slots, undo.filled);
      const auto num_rows = static_cast<size_t>(num_position_rows());
      const size_t first = undo_positions_.size() - static_cast<size_t>(undo.num_slots) * num_rows;
      int32_t* positions = arena_->block_positions(undo.block_id) + undo.filled;
      for (size_t index = first; index < undo_positions_.size(); ++index) {
        const size_t row = (index - first) % num_rows, slot = (index - first) / num_rows;
        positions[row * static_cast<size_t>(shape().block_size) + slot] = undo_positions_[index];
      }
      undo_positions_.resize(first);
    }
  }
}

HeldTable KvCache::hold() const {
  BlockTable table = table_;
  for (auto undo = undo_.rbegin(); undo != undo_.rend(); ++undo) undo_in_table(*undo, table);
  // Blocks of the committed table that the step wrote over: the held table gets copies as they were.
  struct Copy {
    int original, block_id, filled;
  };
  std::vector<Copy> copies;
  const auto release_copies = [&] {
    const std::lock_guard lock(arena_->mutex);
    for (const Copy& copy : copies) arena_->pool.release(copy.block_id, copy.filled, Holder::kTable);
  };
  for (auto undo = undo_.rbegin(); undo != undo_.rend(); ++undo) {
    if (undo->change != Change::kOverwrite) continue;
    auto copy = std::find_if(copies.begin(), copies.end(),
                             [&](const Copy& each) { return each.original == undo->block_id; });
    if (copy == copies.end()) {
      const auto& ids = table.block_ids();
      const auto found = std::find(ids.begin(), ids.end(), undo->block_id);
      if (found == ids.end()) continue;  // a copy of the step's own
      const int filled = table.filled(static_cast<int>(found - ids.begin()));
      try {
        const std::lock_guard lock(arena_->mutex);
        copies.push_back({undo->block_id, arena_->allocate(filled), filled});
      } catch (...) {
        release_copies();
        throw;
      }
      copy = copies.end() - 1;
      arena_->copy_block(copy->original, copy->block_id, filled);
    }
    undo_overwrite(*undo, copy->block_id);
  }
  for (int index = 0; index < table.num_blocks(); ++index) {
    for (const Copy& copy : copies) {
      if (table.block_id(index) != copy.original) continue;
      table.replace_block(index, copy.block_id);
      break;
    }
  }
  HeldTable held(arena_, std::move(table));
  release_copies();
  return held;
}

}  // namespace octavo
