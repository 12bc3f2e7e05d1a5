// Physical blocks of one layer: reference counts, how much of each block its holders cover, and a free queue.
// The queue gives the lowest free id: which blocks are free decides what comes next, so a rewound run takes
// the same ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace octavo {

// Who holds a block: the table of a session, or a snapshot that may bring the block back.
enum class Holder { kTable, kSnapshot };

// Invariants: a block is in the free queue exactly when its reference count is 0; every id is in [0,
// num_blocks); the holders of a block, counted by the slots they cover, are as many as its reference count.
// Not thread-safe: its arena guards it.
class BlockPool {
 public:
  BlockPool(int num_blocks, int block_size);

  int num_blocks() const { return static_cast<int>(ref_counts_.size()); }
  int num_free() const { return static_cast<int>(free_heap_.size()); }
  // Blocks that only snapshots hold: evicted or left behind, and kept to be brought back.
  int num_parked() const { return num_parked_; }
  int ref_count(int block_id) const;
  // Whether a holder covers more than the first num_slots slots.
  bool is_covered_beyond(int block_id, int num_slots) const;

  // Takes the lowest free block for a table that covers `covered` slots. Throws ERR_OCTAVO_POOL_EXHAUSTED.
  int allocate(int covered = 0);
  // One more holder of a block in use. Throws ERR_OCTAVO_BLOCK on a free block.
  void retain(int block_id, int covered, Holder holder);
  // One holder less; true when that freed the block. Throws ERR_OCTAVO_BLOCK when there is no such holder.
  bool release(int block_id, int covered, Holder holder);
  // A table that covers `from` slots covers `to` slots from now on. Throws ERR_OCTAVO_BLOCK as release does.
  void cover(int block_id, int from, int to);

 private:
  void require_id(int block_id) const;
  void require_holder(int block_id, int covered, const char* operation) const;
  size_t place_of(int block_id, int covered) const;  // in coverings_
  int32_t& covering(int block_id, int covered) { return coverings_[place_of(block_id, covered)]; }

  int block_size_;
  int num_parked_ = 0;
  std::vector<int> ref_counts_;
  std::vector<int> num_tables_;     // holders that are tables
  std::vector<int32_t> coverings_;  // [num_blocks, block_size + 1], holders by the slots they cover
  std::vector<int> free_heap_;      // smallest id at the front
};

}  // namespace octavo
