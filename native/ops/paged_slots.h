// Which rows of the caches a split of paged attention reads. Internal linkage, as files for newer instruction
// sets include this.
#pragma once

#include "core/slot_bits.h"
#include "ops/paged_attention_simd.h"

namespace octavo {

// Known slots after a split's own, whose keys are fetched before they are used.
constexpr int kSlotsAhead = 64;

// Where the first head's keys and values of consecutive live slots lie; the same offset in both caches.
struct Slots {
  int64_t offsets[kSlotsPerSplit + 2 * kSlotsAhead];
  int num_live;   // the split's
  int num_known;  // those, and live ones after them; the last is repeated to the end
};

// Dead slots are left out, so that nothing of them is ever read.
static inline void locate_live(const PagedSplit& split, Slots& slots) {
  int num_known = 0;
  const auto add = [&](int64_t, int64_t block, int offset, int live) {
    const int64_t row =
        (split.block_table[block] * static_cast<int64_t>(split.num_kv_heads) + split.first_kv_head) *
            split.block_size +
        offset;
    slots.offsets[num_known] = row * split.head_dim;
    num_known += live;
  };
  int64_t end = split.first_slot + split.num_slots;
  for_slots(split.dead_slots, split.first_slot, end, split.block_size, add);
  slots.num_live = num_known;
  while (end < split.kv_len && num_known < slots.num_live + kSlotsAhead) {
    const int64_t left = split.kv_len - end, first = end;
    end += left < kSlotsAhead ? left : kSlotsAhead;
    for_slots(split.dead_slots, first, end, split.block_size, add);
  }
  slots.num_known = num_known;
}

static inline void locate_all(const PagedSplit& split, Slots& slots) {
  slots.num_live = split.num_slots;
  const int64_t left = split.kv_len - split.first_slot;
  slots.num_known =
      static_cast<int>(left < split.num_slots + kSlotsAhead ? left : split.num_slots + kSlotsAhead);
  int64_t block = split.first_slot / split.block_size;
  int offset = static_cast<int>(split.first_slot % split.block_size);
  for (int i = 0; i < slots.num_known; ++block, offset = 0) {
    const int64_t base =
        (split.block_table[block] * static_cast<int64_t>(split.num_kv_heads) + split.first_kv_head) *
        split.block_size;
    const int in_block = split.block_size - offset, left_known = slots.num_known - i;
    const int count = in_block < left_known ? in_block : left_known;
    for (int j = 0; j < count; ++j) slots.offsets[i + j] = (base + offset + j) * split.head_dim;
    i += count;
  }
}

static inline void locate(const PagedSplit& split, Slots& slots) {
  if (split.dead_slots)
    locate_live(split, slots);
  else
    locate_all(split, slots);
  if (slots.num_live == 0) return;
  for (int i = slots.num_known; i < slots.num_live + 2 * kSlotsAhead; ++i)
    slots.offsets[i] = slots.offsets[slots.num_known - 1];
}

}  // namespace octavo
