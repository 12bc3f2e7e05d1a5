// Physical blocks of one layer: reference counts and a free queue.
#pragma once

#include <cstdint>
#include <vector>

namespace octavo {

// Invariants: a block is in the free queue exactly when its reference count is 0; every id is in [0,
// num_blocks); the free queue is first in, first out, so a freed block's contents stay readable for as long
// as possible. Not thread-safe: its session owns it.
class BlockPool {
 public:
  explicit BlockPool(int num_blocks);

  int num_blocks() const { return static_cast<int>(ref_counts_.size()); }
  int num_free() const { return num_free_; }
  int ref_count(int block_id) const;

  // Takes the longest-free block, with a reference count of 1. Throws ERR_OCTAVO_POOL_EXHAUSTED.
  int allocate();
  // One more owner of a block in use. Throws ERR_OCTAVO_BLOCK on a free block.
  void retain(int block_id);
  // One owner less; true when that freed the block. Throws ERR_OCTAVO_BLOCK on a free block.
  bool release(int block_id);

  // Take back the latest call, so that a step that failed leaves even the order of the free queue as it was.
  // Calls are taken back in reverse order; `freed` is what release returned.
  void undo_allocate(int block_id);
  void undo_release(int block_id, bool freed);

 private:
  void require_id(int block_id) const;
  void require_in_use(int block_id, const char* operation) const;

  std::vector<int> ref_counts_;
  std::vector<int> free_ring_;  // circular, num_free_ ids from free_head_
  int free_head_ = 0;
  int num_free_ = 0;
};

}  // namespace octavo
