// One bit a slot, for slots of a block table that hold nothing any more. Words do not run over from block to
// block, so that a block's words move with it. Internal linkage, as files for newer instruction sets include
// this.
#pragma once

#include <cstdint>

namespace octavo {

static inline int slot_words(int block_size) { return (block_size + 63) / 64; }

// Whether the bit of a slot, counted in logical order, is set.
static inline bool slot_bit(const uint64_t* words,  // [num_blocks, slot_words(block_size)]
                            int64_t slot, int block_size) {
  const int64_t block = slot / block_size;
  const int64_t offset = slot % block_size;
  return (words[block * slot_words(block_size) + offset / 64] >> (offset % 64) & 1) != 0;
}

// Calls body(slot, block, offset, live) for each slot of [first, end), ascending; live is 1, or 0 for a dead
// one. Bodies count with it rather than branch: holes lie where no processor predicts them.
template <typename Body>
static inline void for_slots(
    const uint64_t* dead_slots,  // [num_blocks, slot_words(block_size)]; null: every slot is live
    int64_t first, int64_t end, int block_size, Body&& body) {
  int64_t block = first / block_size;
  int offset = static_cast<int>(first % block_size);
  for (int64_t base = first - offset; base < end; ++block, base += block_size, offset = 0) {
    const int block_end = static_cast<int>(end - base < block_size ? end - base : block_size);
    if (!dead_slots) {
      for (; offset < block_end; ++offset) body(base + offset, block, offset, 1);
      continue;
    }
    const uint64_t* const words = dead_slots + block * slot_words(block_size);
    for (; offset < block_end; ++offset) {
      const auto dead = static_cast<int>(words[offset / 64] >> (offset % 64) & 1);
      body(base + offset, block, offset, 1 - dead);
    }
  }
}

// Calls body(slot) for each dead slot, ascending.
template <typename Body>
static inline void for_dead_slots(
    const uint64_t* dead_slots,  // [num_blocks, slot_words(block_size)]; null: every slot is live
    int64_t num_blocks, int block_size, Body&& body) {
  const int words_each = slot_words(block_size);
  for (int64_t block = 0; dead_slots && block < num_blocks; ++block)
    for (int word = 0; word < words_each; ++word)
      for (uint64_t bits = dead_slots[block * words_each + word]; bits != 0; bits &= bits - 1)
        body(block * block_size + word * 64 + __builtin_ctzll(bits));
}

}  // namespace octavo
