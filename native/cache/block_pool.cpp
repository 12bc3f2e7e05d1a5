// A heap keeps the free ids; a block is in it at most once.
#include "cache/block_pool.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "core/check.h"

namespace octavo {

BlockPool::BlockPool(int num_blocks, int block_size) : block_size_(block_size) {
  if (num_blocks < 1) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected at least 1 for numBlocks but received " + std::to_string(num_blocks));
  }
  if (block_size < 1) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected at least 1 for blockSize but received " + std::to_string(block_size));
  }
  ref_counts_.assign(static_cast<size_t>(num_blocks), 0);
  num_tables_.assign(static_cast<size_t>(num_blocks), 0);
  coverings_.assign(static_cast<size_t>(num_blocks) * (static_cast<size_t>(block_size) + 1), 0);
  free_heap_.resize(static_cast<size_t>(num_blocks));
  std::iota(free_heap_.begin(), free_heap_.end(), 0);  // ascending, hence a heap
}

int BlockPool::ref_count(int block_id) const {
  require_id(block_id);
  return ref_counts_[static_cast<size_t>(block_id)];
}

bool BlockPool::is_covered_beyond(int block_id, int num_slots) const {
  require_id(block_id);
  const auto first = coverings_.begin() + static_cast<int64_t>(block_id) * (block_size_ + 1);
  return std::any_of(first + num_slots + 1, first + block_size_ + 1, [](int32_t count) { return count > 0; });
}

int BlockPool::allocate(int covered) {
  if (free_heap_.empty()) {
    throw Error("ERR_OCTAVO_POOL_EXHAUSTED", "Expected a free block but all " + std::to_string(num_blocks()) +
                                                 " blocks of the pool are in use, " +
                                                 std::to_string(num_parked_) + " of them by snapshots only");
  }
  std::pop_heap(free_heap_.begin(), free_heap_.end(), std::greater<>());
  const int block_id = free_heap_.back();
  free_heap_.pop_back();
  ref_counts_[static_cast<size_t>(block_id)] = 1;
  num_tables_[static_cast<size_t>(block_id)] = 1;
  ++covering(block_id, covered);
  return block_id;
}

void BlockPool::retain(int block_id, int covered, Holder holder) {
  require_id(block_id);
  if (ref_counts_[static_cast<size_t>(block_id)] == 0) {
    throw Error("ERR_OCTAVO_BLOCK",
                "Expected a block in use to retain but block " + std::to_string(block_id) + " is free");
  }
  int32_t& count = covering(block_id, covered);
  ++ref_counts_[static_cast<size_t>(block_id)];
  ++count;
  if (holder == Holder::kTable && num_tables_[static_cast<size_t>(block_id)]++ == 0) --num_parked_;
}

bool BlockPool::release(int block_id, int covered, Holder holder) {
  require_holder(block_id, covered, "release");
  int& num_tables = num_tables_[static_cast<size_t>(block_id)];
  int& ref_count = ref_counts_[static_cast<size_t>(block_id)];
  if (holder == Holder::kTable ? num_tables == 0 : num_tables == ref_count) {
    throw Error("ERR_OCTAVO_BLOCK", std::string("Expected a block that a ") +
                                        (holder == Holder::kTable ? "table" : "snapshot") +
                                        " holds to release but received block " + std::to_string(block_id));
  }
  const bool was_parked = num_tables == 0;
  if (holder == Holder::kTable) --num_tables;
  --ref_count;
  --covering(block_id, covered);
  const bool is_parked = num_tables == 0 && ref_count > 0;
  num_parked_ += static_cast<int>(is_parked) - static_cast<int>(was_parked);
  if (ref_count > 0) return false;
  free_heap_.push_back(block_id);
  std::push_heap(free_heap_.begin(), free_heap_.end(), std::greater<>());
  return true;
}

void BlockPool::cover(int block_id, int from, int to) {
  require_holder(block_id, from, "write to");
  int32_t& after = covering(block_id, to);
  --covering(block_id, from);
  ++after;
}

void BlockPool::require_id(int block_id) const {
  if (block_id < 0 || block_id >= num_blocks()) {
    throw Error("ERR_OCTAVO_BLOCK", "Expected a block id from 0 to " + std::to_string(num_blocks() - 1) +
                                        " but received " + std::to_string(block_id));
  }
}

void BlockPool::require_holder(int block_id, int covered, const char* operation) const {
  require_id(block_id);
  if (ref_counts_[static_cast<size_t>(block_id)] == 0) {
    throw Error("ERR_OCTAVO_BLOCK", "Expected a block in use to " + std::string(operation) + " but block " +
                                        std::to_string(block_id) + " is free");
  }
  if (coverings_[place_of(block_id, covered)] == 0) {
    throw Error("ERR_OCTAVO_BLOCK", "Expected a holder of " + std::to_string(covered) + " slots of block " +
                                        std::to_string(block_id) + " but there is none");
  }
}

size_t BlockPool::place_of(int block_id, int covered) const {
  if (covered < 0 || covered > block_size_) {
    throw Error("ERR_OCTAVO_BLOCK", "Expected 0 to " + std::to_string(block_size_) +
                                        " covered slots but received " + std::to_string(covered));
  }
  return static_cast<size_t>(block_id) * (static_cast<size_t>(block_size_) + 1) +
         static_cast<size_t>(covered);
}

}  // namespace octavo
