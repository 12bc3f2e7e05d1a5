// Erasing shifts ids, which is a few hundred bytes at most; the blocks themselves never move.
#include "cache/block_table.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/slot_bits.h"

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
  return static_cast<int>(std::min<int64_t>(block_size_, num_slots_ - before));
}

int BlockTable::num_live(int logical_index) const {
  int num_live = filled(logical_index);
  const int words = has_holes() ? slot_words(block_size_) : 0;
  for (int word = 0; word < words; ++word)
    num_live -= __builtin_popcountll(dead_[static_cast<size_t>(logical_index * words + word)]);
  return num_live;
}

bool BlockTable::is_dead(int64_t slot) const {
  require_slot(slot);
  return has_holes() && slot_bit(dead_.data(), slot, block_size_);
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
                                        std::to_string(allocated_tokens() - num_slots_) + " empty slots");
  }
  block_ids_.push_back(block_id);
  scores_.push_back(kNoScore);
  if (!dead_.empty()) dead_.resize(block_ids_.size() * static_cast<size_t>(slot_words(block_size_)));
}

int BlockTable::append_slot() {
  if (is_full()) {
    throw Error("ERR_OCTAVO_BLOCK", "Expected an empty slot in the newest block but all " +
                                        std::to_string(num_blocks()) + " blocks are full");
  }
  return static_cast<int>(num_slots_++ % block_size_);
}

void BlockTable::drop_slot() {
  if (num_slots_ % block_size_ == 1 || block_size_ == 1 || is_dead(num_slots_ - 1)) {
    throw Error("ERR_OCTAVO_BLOCK",
                "Expected a newest block with two filled slots or more, the last one live, to give one up");
  }
  --num_slots_;
}

void BlockTable::set_dead(int64_t slot, bool dead) {
  if (is_dead(slot) == dead) {
    throw Error("ERR_OCTAVO_BLOCK", "Expected a slot that is " + std::string(dead ? "live" : "dead") +
                                        " but slot " + std::to_string(slot) + " is not");
  }
  const auto words = static_cast<size_t>(slot_words(block_size_));
  if (dead_.empty()) dead_.resize(block_ids_.size() * words);
  const int64_t offset = slot % block_size_;
  dead_[static_cast<size_t>(slot / block_size_) * words + static_cast<size_t>(offset / 64)] ^=
      uint64_t{1} << (offset % 64);
  num_dead_ += dead ? 1 : -1;
}

int32_t BlockTable::erase_block(int logical_index) {
  const int num_filled = filled(logical_index);
  num_dead_ -= num_filled - num_live(logical_index);
  num_slots_ -= num_filled;
  const auto place = block_ids_.begin() + logical_index;
  const int32_t block_id = *place;
  block_ids_.erase(place);
  scores_.erase(scores_.begin() + logical_index);
  if (!dead_.empty()) {
    const int words = slot_words(block_size_);
    const auto first = dead_.begin() + int64_t{logical_index} * words;
    dead_.erase(first, first + words);
  }
  return block_id;
}

std::vector<uint64_t> BlockTable::dead_words(int logical_index) const {
  require_index(logical_index);
  if (!has_holes()) return {};
  const int words = slot_words(block_size_);
  const auto first = dead_.begin() + int64_t{logical_index} * words;
  return {first, first + words};
}

int32_t BlockTable::undo_append_block() {
  const int32_t block_id = block_ids_.back();
  block_ids_.pop_back();
  scores_.pop_back();
  if (!dead_.empty()) dead_.resize(block_ids_.size() * static_cast<size_t>(slot_words(block_size_)));
  return block_id;
}

void BlockTable::undo_erase_block(int logical_index, int32_t block_id, int filled, float score,
                                  const std::vector<uint64_t>& dead_words) {
  const auto words = static_cast<size_t>(slot_words(block_size_));
  if (!dead_words.empty() && dead_.empty()) dead_.resize(block_ids_.size() * words);
  if (!dead_.empty()) {
    const auto place = dead_.begin() + int64_t{logical_index} * static_cast<int64_t>(words);
    if (dead_words.empty()) {
      dead_.insert(place, words, 0);
    } else {
      dead_.insert(place, dead_words.begin(), dead_words.end());
    }
  }
  for (const uint64_t word : dead_words) num_dead_ += __builtin_popcountll(word);
  scores_.insert(scores_.begin() + logical_index, score);
  block_ids_.insert(block_ids_.begin() + logical_index, block_id);
  num_slots_ += filled;
}

void BlockTable::require_index(int logical_index) const {
  if (logical_index < 0 || logical_index >= num_blocks()) {
    throw Error("ERR_OCTAVO_BLOCK", "Expected a logical block index below " + std::to_string(num_blocks()) +
                                        " but received " + std::to_string(logical_index));
  }
}

void BlockTable::require_slot(int64_t slot) const {
  if (slot < 0 || slot >= num_slots_) {
    throw Error("ERR_OCTAVO_BLOCK", "Expected a slot below " + std::to_string(num_slots_) + " but received " +
                                        std::to_string(slot));
  }
}

}  // namespace octavo
