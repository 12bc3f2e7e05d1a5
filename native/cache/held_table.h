// A block table at rest: a snapshot of one layer. It holds its blocks, which so outlive their eviction; the
// K/V in them is never copied.
#pragma once

#include <memory>
#include <mutex>

#include "cache/block_table.h"
#include "cache/kv_arena.h"

namespace octavo {

// Owns one reference to each of its blocks until it goes. May go on any thread.
class HeldTable {
 public:
  // Takes references of its own; the caller holds the table's blocks.
  HeldTable(std::shared_ptr<KvArena> arena, BlockTable table)
      : arena_(std::move(arena)), table_(std::move(table)) {
    const std::lock_guard lock(arena_->mutex);
    for (int index = 0; index < table_.num_blocks(); ++index) {
      arena_->pool.retain(table_.block_id(index), table_.filled(index), Holder::kSnapshot);
    }
  }
  HeldTable(HeldTable&&) = default;
  HeldTable& operator=(HeldTable&&) = delete;
  ~HeldTable() {
    if (!arena_) return;  // moved from
    const std::lock_guard lock(arena_->mutex);
    for (int index = 0; index < table_.num_blocks(); ++index) {
      arena_->pool.release(table_.block_id(index), table_.filled(index), Holder::kSnapshot);
    }
  }

  const std::shared_ptr<KvArena>& arena() const { return arena_; }
  const BlockTable& table() const { return table_; }

 private:
  std::shared_ptr<KvArena> arena_;
  BlockTable table_;
};

}  // namespace octavo
