// Keys and values of one sequence in one layer: a block table over an arena that forks share. Blocks are
// shared too, copy on write: a block is copied before a slot that another holder covers is written. An undo
// log takes back a step that fails half way.
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
  bool freed;  // goes back to the pool when the step is committed: nothing else holds it
  std::vector<std::vector<int32_t>> positions;  // RoPE positions of its live slots, in slot order: of each
                                                // head where heads differ, of all otherwise
};

struct PoolCounts {
  int num_blocks, num_free, num_parked;
};

// Owns its table's references to blocks, and a share of the arena, which views outlive. One thread at a time;
// caches that share an arena may each have their own. Slots count in logical order, from the first block's.
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
  // [num_blocks, num_kv_heads, block_size, head_dim] of the shape's dtype.
  const Tensor& keys() const { return arena_->keys; }
  const Tensor& values() const { return arena_->values; }
  // i32 [num_blocks, block_size], or [num_blocks, num_kv_heads, block_size]; -1 never filled
  const Tensor& positions() const { return arena_->positions; }
  int num_position_rows() const { return arena_->num_position_rows(); }
  const BlockTable& table() const { return table_; }
  PoolCounts pool_counts() const;
  int ref_count(int block_id) const {
    const std::lock_guard lock(arena_->mutex);
    return arena_->pool.ref_count(block_id);
  }
  // Whether a holder other than this table has any of its blocks.
  bool shares_blocks() const;
  // Keys or values of one block: [num_kv_heads, block_size, head_dim] of the shape's dtype.
  const std::byte* block_keys(int block_id) const { return arena_->block_keys(block_id); }
  const std::byte* block_values(int block_id) const { return arena_->block_values(block_id); }
  // The key or value of one slot and head as fp32.
  void read_key(int64_t slot, int head,
                float* to) const {  // [head_dim]
    arena_->read_vector(key_at(slot, head), to);
  }
  void read_value(int64_t slot, int head,
                  float* to) const {  // [head_dim]
    arena_->read_vector(value_at(slot, head), to);
  }
  // Keys or values of a step as what is cached of them.
  void round_numbers(float* numbers, int64_t count) const { arena_->round_numbers(numbers, count); }
  // RoPE position in a slot, of a row of positions.
  int32_t slot_position(int64_t slot, int row = 0) const;
  // RoPE positions of one block, of a row of positions: [block_size], of dead slots what they were.
  const int32_t* block_positions(int logical_index, int row = 0) const {
    return arena_->block_positions(table_.block_ids()[static_cast<size_t>(logical_index)]) +
           int64_t{row} * shape().block_size;
  }
  // RoPE positions of the live slots of one block, in slot order.
  std::vector<int32_t> live_positions(int logical_index, int row = 0) const;
  // Takes memory at once for the undo log of so many appended tokens.
  void reserve_undo(int64_t num_tokens);
  // Whether its blocks are those of an arena.
  bool is_in(const std::shared_ptr<KvArena>& arena) const { return arena_ == arena; }
  // Blocks that appending num_tokens would take from the pool, a copy of the newest among them; where others
  // that share it may append first, a copy that is then needed counts too.
  int64_t num_blocks_needed(int64_t num_tokens, bool others_first = false) const;

  // What happened so far stays: forgets the undo log, and gives evicted blocks back.
  void commit_step();
  // Takes back everything since the last commit, except what dead slots of keys and values hold.
  void roll_back();

  // Writes one token to the next slot, taking a block when the newest is full or may not be written. Throws
  // ERR_OCTAVO_POOL_EXHAUSTED; ERR_OCTAVO_BLOCK after a drop_newest_slot in the same step.
  void append(const float* key,    // [num_kv_heads, head_dim], after RoPE
              const float* value,  // [num_kv_heads, head_dim]
              int64_t position);
  // The same with a token of its own for each head.
  void append_per_head(const float* const* keys,    // [num_kv_heads], each at [head_dim], after RoPE
                       const float* const* values,  // [num_kv_heads], each at [head_dim]
                       const int32_t* positions);   // [num_position_rows]
  void set_score(int logical_index, float score);
  // Drops one block from the table. Its reference goes with the commit, so that a roll-back finds it as it
  // was.
  EvictedBlock evict(int logical_index);
  // Drops the token of a slot and leaves a hole. Throws ERR_OCTAVO_BLOCK for a dead one.
  void mark_dead(int64_t slot);
  // Copies one token over another, or into a hole, which so comes to life: keys, values and positions of one
  // head, or of all. Throws ERR_OCTAVO_POOL_EXHAUSTED.
  void copy_slot(int64_t from, int64_t to);
  void copy_slot_of_head(int64_t from, int64_t to, int head);
  // Puts other keys in a slot: f32 [num_kv_heads, head_dim]. Throws ERR_OCTAVO_POOL_EXHAUSTED.
  void write_keys(int64_t slot, const float* keys);
  // Gives up the newest slot, and its block with the last one of it. True when a block that this table had
  // before the step goes back to the pool with the commit.
  bool drop_newest_slot();
  // Whether a block was taken since the last commit.
  bool is_new_in_step(int block_id) const;

  // The table as of the last commit, held. Takes a block for each that was written over since. Throws
  // ERR_OCTAVO_POOL_EXHAUSTED.
  HeldTable hold() const;
  // Takes over a held table, and its arena where that is another one, of the same shape of blocks. Changes
  // since the last commit are lost.
  void restore(const HeldTable& held);
  // Takes all tokens to blocks of another arena, of the same shape of blocks, and gives those here back.
  // Changes since the last commit are lost. Throws ERR_OCTAVO_POOL_EXHAUSTED, which changes nothing.
  void move_to(std::shared_ptr<KvArena> arena);
  // Gives every block back; the arena stays as long as a view holds it.
  void clear();

 private:
  enum class Change { kBlock, kCopy, kSlot, kScore, kEviction, kDrop, kDeath, kRevival, kOverwrite };
  struct Undo {
    Change change;
    int block_id = 0;
    int logical_index = 0;  // copy, score, eviction
    int filled = 0;         // eviction, copy, drop: filled slots of the block; slot: its place in the block
    int num_slots = 0;      // slot: appended from that place on
    int copied_from = 0;    // copy
    int64_t slot = 0;       // death, revival: in logical order; overwrite: its place in the block
    float score = 0;        // score, eviction: what its score was
    size_t saved = 0;       // overwrite: where in undo_bytes_ stands what was there
    std::vector<uint64_t> dead_words = {};  // eviction
  };
  static void undo_in_table(const Undo& undo, BlockTable& table);
  void undo_overwrite(const Undo& undo, int block_id) const;
  int id_of(int64_t slot) const { return table_.block_id(static_cast<int>(slot / shape().block_size)); }
  // In bytes from the block's first.
  size_t place_of(int64_t slot, int head) const {
    return (static_cast<size_t>(head) * static_cast<size_t>(shape().block_size) +
            static_cast<size_t>(slot % shape().block_size)) *
           arena_->vector_bytes();
  }
  std::byte* key_at(int64_t slot, int head) const {
    return arena_->block_keys(id_of(slot)) + place_of(slot, head);
  }
  std::byte* value_at(int64_t slot, int head) const {
    return arena_->block_values(id_of(slot)) + place_of(slot, head);
  }
  bool must_copy_newest() const;
  void copy_block_at(int logical_index);
  void prepare_overwrite(int64_t slot);
  void copy_heads(int64_t from, int64_t to, int first_head, int last_head);
  bool erase(int logical_index);
  void retain_table();

  std::shared_ptr<KvArena> arena_;
  BlockTable table_;
  std::vector<Undo> undo_;
  // What positions of appended slots were, those of the undo log's last slots last: [slots,
  // num_position_rows].
  std::vector<int32_t> undo_positions_;
  // Of each overwritten slot what its keys, then values were [2, num_kv_heads, head_dim] of the shape's
  // dtype, and its positions i32 [num_position_rows].
  std::vector<std::byte> undo_bytes_;
};

}  // namespace octavo
