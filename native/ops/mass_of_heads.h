// Attention mass from the shares of KV heads: each head's queries are weighed where a thread has them, and
// the heads' sums are added in their order, so that the number of threads changes no bit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/slot_bits.h"
#include "core/thread_pool.h"
#include "ops/attention_mass_simd.h"
#include "ops/paged_attention.h"
#include "ops/paged_attention_simd.h"

namespace octavo {

// Adds to sums what weigh(kv_head, to) finds for each KV head: doubles `to`, of each split of kSlotsPerSplit
// slots the live ones in their order. In parallel for heads where the operations on each number of theirs
// make up for the fork.
template <typename Weigh>
void add_mass_of_heads(
    const PagedAttentionShape& shape, int64_t num_slots, int num_rows, const uint64_t* dead_slots,
    float* sums,  // [num_slots, num_rows]; a row is a KV head's, or the only one all heads'
    std::vector<double>& scratch, int operations_each, Weigh&& weigh) {
  const int64_t num_splits = (num_slots + kSlotsPerSplit - 1) / kSlotsPerSplit;
  const int64_t width = num_splits * kSlotsPerSplit, num_heads = shape.num_kv_heads;
  if (scratch.size() < static_cast<size_t>(num_heads * width))
    scratch.resize(static_cast<size_t>(num_heads * width));
  double* const of_heads = scratch.data();  // [num_kv_heads, width]
  const double cost = static_cast<double>(num_slots) * shape.num_query_heads * operations_each;
  parallel_for_worthwhile(num_heads, cost, [&](int64_t begin, int64_t end, int) {
    for (int64_t head = begin; head < end; ++head) weigh(head, of_heads + head * width);
  });
  const int64_t heads_each = num_heads / num_rows;
  const AttentionMassKernels& kernels = OCTAVO_PICK_SIMD(attention_mass_kernels);
  if (num_rows == 1 && !dead_slots) return kernels.add_rows(of_heads, width, heads_each, num_slots, sums);
  for (int64_t row = 0; row < num_rows; ++row) {
    for (int64_t first = 0; first < num_slots; first += kSlotsPerSplit) {
      float masses[kSlotsPerSplit] = {};
      kernels.add_rows(of_heads + row * heads_each * width + first, width, heads_each, kSlotsPerSplit,
                       masses);
      const float* next = masses;
      for_slots(dead_slots, first, std::min<int64_t>(first + kSlotsPerSplit, num_slots), shape.block_size,
                [&](int64_t slot, int64_t, int, int live) {
                  const float mass = live ? *next : 0;
                  sums[slot * num_rows + row] += mass;
                  next += live;
                });
    }
  }
}

}  // namespace octavo
