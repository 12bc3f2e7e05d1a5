// Erasing shifts ids, which is a few hundred bytes at most; the blocks themselves never move.
#include "cache/block_table.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace octavo {

BlockTable::BlockTable(int block_size) : block_size_(block_size) {
  if (block_size < 1) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected at least 1 for blockSize but received " + std::to_string(block_size));
  }
}

int32_t BlockTable::block_id(int logical_index) const {
  require_index(logical_index);
  return block_ids_[static_cast<size_t>(logical_index)];
}

int BlockTable::filled(int logical_index) const {
  require_index(logical_index);
  const int64_t before = static_cast<int64_t>(logical_index) * block_size_;
  return static_cast<int>(std::min<int64_t>(block_size_, kv_len_ - before));
}

float BlockTable::score(int logical_index) const {
  require_index(logical_index);
  return scores_[static_cast<size_t>(logical_index)];
}

void BlockTable::set_score(int logical_index, float score) {
  require_index(logical_index);
  scores_[static_cast<size_t>(logical_index)] = score;
}

int32_t BlockTable::replace_block(int logical_index, int32_t block_id) {
  require_index(logical_index);
  return std::exchange(block_ids_[static_cast<size_t>(logical_index)], block_id);
}

void BlockTable::append_block(int32_t block_id) {
  if (!is_full()) {
    throw Error("ERR_OCTAVO_BLOCK", "Expected a full newest block before another is appended but it has " +
                                        std::to_string(allocated_tokens() - kv_len_) + " empty slots");
  }
  block_ids_.push_back(block_id);
  scores_.push_back(kNoScore);
}

int BlockTable::append_slot() {
  if (is_full()) {
    throw Error("ERR_OCTAVO_BLOCK", "Expected an empty slot in the newest block but all " +
                                        std::to_string(num_blocks()) + " blocks are full");
  }
  return static_cast<int>(kv_len_++ % block_size_);
}

int32_t BlockTable::erase_block(int logical_index) {
  kv_len_ -= filled(logical_index);
  const auto place = block_ids_.begin() + logical_index;
  const int32_t block_id = *place;
  block_ids_.erase(place);
  scores_.erase(scores_.begin() + logical_index);
  return block_id;
}

void BlockTable::undo_append_slot() { --kv_len_; }

int32_t BlockTable::undo_append_block() {
  const int32_t block_id = block_ids_.back();
  block_ids_.pop_back();
  scores_.pop_back();
  return block_id;
}

void BlockTable::undo_erase_block(int logical_index, int32_t block_id, int filled, float score) {
  scores_.insert(scores_.begin() + logical_index, score);
  block_ids_.insert(block_ids_.begin() + logical_index, block_id);
  kv_len_ += filled;
}

void BlockTable::require_index(int logical_index) const {
  if (logical_index < 0 || logical_index >= num_blocks()) {
    throw Error("ERR_OCTAVO_BLOCK", "Expected a logical block index below " + std::to_string(num_blocks()) +
                                        " but received " + std::to_string(logical_index));
  }
}

}  // namespace octavo
