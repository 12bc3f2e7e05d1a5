// Keys and values of one layer in blocks, with a RoPE position per slot and a score per block. Every change
// since the step began is kept in an undo log, so that a step that fails half way leaves the cache as it was.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "cache/block_pool.h"
#include "cache/block_table.h"
#include "core/tensor.h"

namespace octavo {

struct KvCacheShape {
  int num_blocks;
  int num_kv_heads;
  int block_size;
  int head_dim;
};

// What left the table with one block.
struct EvictedBlock {
  int32_t block_id;
  bool freed;                      // it went back to the pool: no other table holds it
  std::vector<int32_t> positions;  // RoPE positions of its live slots, in slot order
};

// Owns its arenas through shared memory, so that views outlive it. Not thread-safe: its session owns it.
class KvCache {
 public:
  static constexpr float kNoScore = std::numeric_limits<float>::quiet_NaN();

  // Throws ERR_OCTAVO_ARGUMENT when a tensor would reach 4 GiB, the most that one JavaScript buffer can show.
  explicit KvCache(const KvCacheShape& shape);

  const KvCacheShape& shape() const { return shape_; }
  const Tensor& keys() const { return keys_; }      // f32 [num_blocks, num_kv_heads, block_size, head_dim]
  const Tensor& values() const { return values_; }  // f32 [num_blocks, num_kv_heads, block_size, head_dim]
  const Tensor& positions() const {
    return positions_;
  }  // i32 [num_blocks, block_size], -1 where never filled
  const BlockTable& table() const { return table_; }
  const BlockPool& pool() const { return pool_; }
  // The policy's score, which travels with the physical block; NaN while it has none.
  float score(int block_id) const { return scores_[static_cast<size_t>(block_id)]; }
  // Keys or values of one block: f32 [num_kv_heads, block_size, head_dim].
  const float* block_keys(int block_id) const { return keys_.f32() + block_offset(block_id); }
  const float* block_values(int block_id) const { return values_.f32() + block_offset(block_id); }
  // RoPE positions of the live slots of one block, in slot order.
  std::vector<int32_t> live_positions(int logical_index) const;

  // Forgets the undo log: what happened so far stays.
  void begin_step();
  // Takes back everything since begin_step, except what dead slots of keys and values hold. Holds for steps
  // that append before they evict: a block given back and taken again within one step would have lost its
  // contents.
  void roll_back();

  // Writes one token to the next slot, taking a block when the newest is full. Throws
  // ERR_OCTAVO_POOL_EXHAUSTED.
  void append(const float* key,    // [num_kv_heads, head_dim], after RoPE
              const float* value,  // [num_kv_heads, head_dim]
              int64_t position);
  void set_score(int block_id, float score);
  // Drops one block from the table and gives it back.
  EvictedBlock evict(int logical_index);
  // Gives every block back; the arenas stay as long as a view holds them.
  void clear();

 private:
  enum class Change { kBlock, kSlot, kScore, kEviction };
  struct Undo {
    Change change;
    int block_id;
    int logical_index = 0;  // eviction
    int filled = 0;         // eviction: live slots that went; slot: its place in the block
    bool freed = false;     // eviction
    int32_t position = 0;   // slot: what its position was
    float score = 0;        // block, score: what its score was
  };

  size_t block_offset(int block_id) const {
    return static_cast<size_t>(block_id) * static_cast<size_t>(block_elements_);
  }

  KvCacheShape shape_;
  int64_t block_elements_;
  Tensor keys_, values_, positions_;
  BlockPool pool_;
  BlockTable table_;
  std::vector<float> scores_;  // by physical id
  std::vector<Undo> undo_;
};

}  // namespace octavo
