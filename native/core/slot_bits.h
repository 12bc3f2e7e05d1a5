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

}  // namespace octavo
