// Keys and values of one sequence in one layer: a block table over an arena that forks share. Blocks are
// shared too, copy on write: only the newest, when it is partial and another holder covers more of it, is
// ever copied. An undo log takes back a step that fails half way.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cache/block_table.h"
#include "cache/held_table.h"
#include "cache/kv_arena.h"

namespace octavo {

// What left the table with one block.
struct EvictedBlock {
  int32_t block_id;
  bool freed;                      // goes back to the pool when the step is committed: nothing else holds it
  std::vector<int32_t> positions;  // RoPE positions of its live slots, in slot order
};

struct PoolCounts {
  int num_blocks, num_free, num_parked;
};

// Owns its table's references to blocks, and a share of the arena, which views outlive. One thread at a time;
// caches that share an arena may each have their own.
class KvCache {
 public:
  static constexpr float kNoScore = BlockTable::kNoScore;

  // An empty cache with an arena of its own. Throws ERR_OCTAVO_ARGUMENT as KvArena does.
  explicit KvCache(const KvCacheShape& shape);
  // An empty cache that takes its blocks from an arena beside others.
  explicit KvCache(std::shared_ptr<KvArena> arena);
  // A fork: shares all blocks of the table.
  explicit KvCache(const HeldTable& held);
  KvCache(KvCache&&) = default;
  KvCache& operator=(KvCache&&) = delete;
  ~KvCache();

  const KvCacheShape& shape() const { return arena_->shape; }
  const Tensor& keys() const { return arena_->keys; }  // f32 [num_blocks, num_kv_heads, block_size, head_dim]
  const Tensor& values() const {
    return arena_->values;
  }  // f32 [num_blocks, num_kv_heads, block_size, head_dim]
  const Tensor& positions() const {
    return arena_->positions;
  }  // i32 [num_blocks, block_size], -1 never filled
  const BlockTable& table() const { return table_; }
  PoolCounts pool_counts() const;
  int ref_count(int block_id) const;
  // Keys or values of one block: f32 [num_kv_heads, block_size, head_dim].
  const float* block_keys(int block_id) const { return arena_->block_keys(block_id); }
  const float* block_values(int block_id) const { return arena_->block_values(block_id); }
  // RoPE positions of the live slots of one block, in slot order.
  std::vector<int32_t> live_positions(int logical_index) const;
  // Blocks that appending num_tokens would take from the pool, a copy of the newest among them.
  int64_t num_blocks_needed(int64_t num_tokens) const;

  // What happened so far stays: forgets the undo log, and gives evicted blocks back.
  void commit_step();
  // Takes back everything since the last commit, except what dead slots of keys and values hold.
  void roll_back();

  // Writes one token to the next slot, taking a block when the newest is full or may not be written. Throws
  // ERR_OCTAVO_POOL_EXHAUSTED.
  void append(const float* key,    // [num_kv_heads, head_dim], after RoPE
              const float* value,  // [num_kv_heads, head_dim]
              int64_t position);
  void set_score(int logical_index, float score);
  // Drops one block from the table. Its reference goes with the commit, so that a roll-back finds it as it
  // was.
  EvictedBlock evict(int logical_index);

  // The table as of the last commit, held.
  HeldTable hold() const;
  // Takes over a table held of this arena. Changes since the last commit are lost.
  void restore(const HeldTable& held);
  // Takes all tokens to blocks of another arena, of the same shape of blocks, and gives those here back.
  // Changes since the last commit are lost. Throws ERR_OCTAVO_POOL_EXHAUSTED, which changes nothing.
  void move_to(std::shared_ptr<KvArena> arena);
  // Gives every block back; the arena stays as long as a view holds it.
  void clear();

 private:
  enum class Change { kBlock, kCopy, kSlot, kScore, kEviction };
  struct Undo {
    Change change;
    int block_id;
    int logical_index = 0;  // score, eviction
    int filled = 0;         // eviction, copy: live slots of the block; slot: its place in the block
    int copied_from = 0;    // copy
    int32_t position = 0;   // slot: what its position was
    float score = 0;        // score, eviction: what its score was
  };
  static void undo_in_table(const Undo& undo, BlockTable& table);
  bool must_copy_newest() const;
  void retain_table();

  std::shared_ptr<KvArena> arena_;
  BlockTable table_;
  std::vector<Undo> undo_;
};

}  // namespace octavo
