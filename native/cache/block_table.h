// The logical order of one layer's blocks, with the policy's score of each and a bit for each slot whose
// token was dropped. Only the newest block may be partial, so the filled slots of every block follow from the
// number of slots: copying these small lists is a snapshot.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace octavo {

// Holds ids only: reference counts are the pool's, contents the arena's. Not thread-safe: its session owns
// it.
class BlockTable {
 public:
  static constexpr float kNoScore = std::numeric_limits<float>::quiet_NaN();

  // block_size: slots per block, at least 1.
  explicit BlockTable(int block_size);

  int block_size() const { return block_size_; }
  int num_blocks() const { return static_cast<int>(block_ids_.size()); }
  // Slots that were filled, live or dead: what attention goes over.
  int64_t num_slots() const { return num_slots_; }
  // Live slots: what attention reads.
  int64_t kv_len() const { return num_slots_ - num_dead_; }
  int64_t allocated_tokens() const { return static_cast<int64_t>(num_blocks()) * block_size_; }
  const std::vector<int32_t>& block_ids() const { return block_ids_; }  // [num_blocks]
  int32_t block_id(int logical_index) const;
  // Filled slots of one block, 0 to block_size, live or dead.
  int filled(int logical_index) const;
  // Filled slots of one block that are live.
  int num_live(int logical_index) const;
  // Whether the token of a slot was dropped; slot counts in logical order, below num_slots.
  bool is_dead(int64_t slot) const;
  bool has_holes() const { return num_dead_ > 0; }
  // A set bit is a dead slot: [num_blocks, slot_words(block_size)]; null while there is none.
  const uint64_t* dead_slots() const { return has_holes() ? dead_.data() : nullptr; }
  // The policy's score; kNoScore while the block has none. Tables that share a block may score it
  // differently.
  float score(int logical_index) const;
  const std::vector<float>& scores() const { return scores_; }  // [num_blocks]
  void set_score(int logical_index, float score);
  // Whether the next token needs another block; true of an empty table.
  bool is_full() const { return num_slots_ == allocated_tokens(); }

  // Only when full. Throws ERR_OCTAVO_BLOCK.
  void append_block(int32_t block_id);
  // Takes the next slot of the newest block and returns its place in it. Throws ERR_OCTAVO_BLOCK when full.
  int append_slot();
  // Gives the newest slot up; its block must hold another one. Throws ERR_OCTAVO_BLOCK.
  void drop_slot();
  // Marks a slot dead, or live again. Throws ERR_OCTAVO_BLOCK for one that is so already.
  void set_dead(int64_t slot, bool dead);
  // Drops one block and shifts the later ones left; returns its id.
  int32_t erase_block(int logical_index);
  // Puts another block, with the same contents, in the place of one; returns the one that stood there.
  int32_t replace_block(int logical_index, int32_t block_id);

  // The words of one block in dead_slots; empty where the table has no holes.
  std::vector<uint64_t> dead_words(int logical_index) const;
  // The reverse of each, for taking a failed step back.
  void undo_append_slot() { --num_slots_; }
  void undo_drop_slot() { ++num_slots_; }
  int32_t undo_append_block();
  void undo_erase_block(int logical_index, int32_t block_id, int filled, float score,
                        const std::vector<uint64_t>& dead_words);

 private:
  void require_index(int logical_index) const;
  void require_slot(int64_t slot) const;

  int block_size_;
  int64_t num_slots_ = 0;
  int64_t num_dead_ = 0;
  std::vector<int32_t> block_ids_;
  std::vector<float> scores_;
  std::vector<uint64_t> dead_;  // empty until the first hole
};

}  // namespace octavo
