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

// Calls body(slot, block, offset, count) for each run of live slots of [first, end), ascending; a run ends
// with its block at the latest.
template <typename Body>
static inline void for_live_runs(
    const uint64_t* dead_slots,  // [num_blocks, slot_words(block_size)]; null: every slot is live
    int64_t first, int64_t end, int block_size, Body&& body) {
  int64_t block = first / block_size;
  int offset = static_cast<int>(first % block_size);
  for (int64_t base = first - offset; base < end; ++block, base += block_size, offset = 0) {
    const int block_end = static_cast<int>(end - base < block_size ? end - base : block_size);
    const uint64_t* const words = dead_slots ? dead_slots + block * slot_words(block_size) : nullptr;
    const auto is_live = [&](int at) { return !words || (words[at / 64] >> (at % 64) & 1) == 0; };
    while (offset < block_end) {
      const int run = offset;
      if (words) {
        while (offset < block_end && is_live(offset)) ++offset;
      } else {
        offset = block_end;
      }
      if (offset > run) body(base + run, block, run, offset - run);
      while (offset < block_end && !is_live(offset)) ++offset;
    }
  }
}

// Calls body(slot, block, offset) for each live slot of [first, end), ascending.
template <typename Body>
static inline void for_live_slots(const uint64_t* dead_slots, int64_t first, int64_t end, int block_size,
                                  Body&& body) {
  for_live_runs(dead_slots, first, end, block_size, [&](int64_t slot, int64_t block, int offset, int count) {
    for (int i = 0; i < count; ++i) body(slot + i, block, offset + i);
  });
}

}  // namespace octavo
