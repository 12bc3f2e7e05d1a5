// The free queue is a ring of the pool's size: it can never overflow, because a block is in it at most once.
#include "cache/block_pool.h"

#include <numeric>

#include "core/check.h"

namespace octavo {

BlockPool::BlockPool(int num_blocks) {
  if (num_blocks < 1) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected at least 1 for numBlocks but received " + std::to_string(num_blocks));
  }
  ref_counts_.assign(static_cast<size_t>(num_blocks), 0);
  free_ring_.resize(static_cast<size_t>(num_blocks));
  std::iota(free_ring_.begin(), free_ring_.end(), 0);
  num_free_ = num_blocks;
}

int BlockPool::ref_count(int block_id) const {
  require_id(block_id);
  return ref_counts_[static_cast<size_t>(block_id)];
}

int BlockPool::allocate() {
  if (num_free_ == 0) {
    throw Error("ERR_OCTAVO_POOL_EXHAUSTED", "Expected a free block but all " + std::to_string(num_blocks()) +
                                                 " blocks of the pool are in use");
  }
  const int block_id = free_ring_[static_cast<size_t>(free_head_)];
  free_head_ = free_head_ + 1 == num_blocks() ? 0 : free_head_ + 1;
  --num_free_;
  ref_counts_[static_cast<size_t>(block_id)] = 1;
  return block_id;
}

void BlockPool::retain(int block_id) {
  require_in_use(block_id, "retain");
  ++ref_counts_[static_cast<size_t>(block_id)];
}

bool BlockPool::release(int block_id) {
  require_in_use(block_id, "release");
  if (--ref_counts_[static_cast<size_t>(block_id)] > 0) return false;
  free_ring_[static_cast<size_t>((static_cast<int64_t>(free_head_) + num_free_) % num_blocks())] = block_id;
  ++num_free_;
  return true;
}

void BlockPool::undo_allocate(int block_id) {
  require_in_use(block_id, "take back");
  ref_counts_[static_cast<size_t>(block_id)] = 0;
  free_head_ = free_head_ == 0 ? num_blocks() - 1 : free_head_ - 1;
  free_ring_[static_cast<size_t>(free_head_)] = block_id;
  ++num_free_;
}

void BlockPool::undo_release(int block_id, bool freed) {
  require_id(block_id);
  if (freed) --num_free_;
  ++ref_counts_[static_cast<size_t>(block_id)];
}

void BlockPool::require_id(int block_id) const {
  if (block_id < 0 || block_id >= num_blocks()) {
    throw Error("ERR_OCTAVO_BLOCK", "Expected a block id from 0 to " + std::to_string(num_blocks() - 1) +
                                        " but received " + std::to_string(block_id));
  }
}

void BlockPool::require_in_use(int block_id, const char* operation) const {
  require_id(block_id);
  if (ref_counts_[static_cast<size_t>(block_id)] == 0) {
    throw Error("ERR_OCTAVO_BLOCK", "Expected a block in use to " + std::string(operation) + " but block " +
                                        std::to_string(block_id) + " is free");
  }
}

}  // namespace octavo
