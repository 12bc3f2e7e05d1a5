// The logical order of one layer's blocks, with the policy's score of each. Only the newest block may be
// partial, so the filled slots of every block follow from the live length: copying this small list is a
// snapshot.
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
  // Live slots: what attention loops over.
  int64_t kv_len() const { return kv_len_; }
  int64_t allocated_tokens() const { return static_cast<int64_t>(num_blocks()) * block_size_; }
  const std::vector<int32_t>& block_ids() const { return block_ids_; }  // [num_blocks]
  int32_t block_id(int logical_index) const;
  // Live slots of one block, 0 to block_size.
  int filled(int logical_index) const;
  // The policy's score; kNoScore while the block has none. Tables that share a block may score it
  // differently.
  float score(int logical_index) const;
  const std::vector<float>& scores() const { return scores_; }  // [num_blocks]
  void set_score(int logical_index, float score);
  // Whether the next token needs another block; true of an empty table.
  bool is_full() const { return kv_len_ == allocated_tokens(); }

  // Only when full. Throws ERR_OCTAVO_BLOCK.
  void append_block(int32_t block_id);
  // Takes the next slot of the newest block and returns its place in it. Throws ERR_OCTAVO_BLOCK when full.
  int append_slot();
  // Drops one block and shifts the later ones left; returns its id.
  int32_t erase_block(int logical_index);

  // Puts another block, with the same contents, in the place of one; returns the one that stood there.
  int32_t replace_block(int logical_index, int32_t block_id);

  // The reverse of each, for taking a failed step back.
  void undo_append_slot();
  int32_t undo_append_block();
  void undo_erase_block(int logical_index, int32_t block_id, int filled, float score);

 private:
  void require_index(int logical_index) const;

  int block_size_;
  int64_t kv_len_ = 0;
  std::vector<int32_t> block_ids_;
  std::vector<float> scores_;
};

}  // namespace octavo
