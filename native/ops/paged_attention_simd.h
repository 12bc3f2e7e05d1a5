// One split of paged attention: some KV heads and the query heads that share them, over a run of slots.
#pragma once

#include <cstdint>

#include "core/simd.h"

namespace octavo {

// Slots a split covers. Splits are counted in slots, not in blocks or threads: the result has the same bits
// for every block size, placement of blocks and number of threads.
constexpr int kSlotsPerSplit = 256;

// Where a split leaves each slot's numerator, for who wants probabilities too; nulls where nobody does.
struct SplitNumerators {
  float* values;  // of query head h and slot s at [h · head_stride + s]: exp(logit - the split's maximum)
  float* maxima;  // of query head h at [h · maxima_stride]
  int64_t head_stride, maxima_stride;
};

struct PagedSplit {
  const float* query;          // [num_kv_heads_here, group_size, head_dim]
  const void* key_cache;       // [num_blocks, num_kv_heads, block_size, head_dim]
  const void* value_cache;     // the same; null where only keys are read
  const int32_t* block_table;  // logical to physical
  const uint64_t* dead_slots;  // [num_blocks, slot_words(block_size)], or null
  int group_size, num_kv_heads, head_dim, block_size;
  int first_kv_head, num_kv_heads_here;
  int64_t first_slot;  // logical
  int num_slots;       // at most kSlotsPerSplit
  int64_t kv_len;      // slots of the table; those after this split are only prefetched
  float scale;
  SplitNumerators numerators = {};
  const float* logits = nullptr;  // [num_kv_heads_here · group_size, kSlotsPerSplit] of the live slots, where
                                  // they are there already; otherwise null
  float* scratch = nullptr;  // [num_kv_heads_here · group_size, kSlotsPerSplit + head_dim]
};

struct PagedAttentionKernels {
  // Gives the softmax numerators' maximum and sum and the weighted sum of values, for the splits to be
  // combined.
  using Attend = void (*)(
      const PagedSplit& split,
      float* maxima,      // [num_kv_heads_here, group_size]
      double* sums,       // [num_kv_heads_here, group_size], of exp(logit - maximum)
      double* weighted);  // [num_kv_heads_here, group_size, head_dim], of exp(logit - maximum) · value
  // Gives the products of queries and keys alone, without scale; reads no values.
  using Multiply = void (*)(const PagedSplit& split,
                            float* logits);  // [num_kv_heads_here · group_size, kSlotsPerSplit], of the live
                                             // slots in their order, then -infinity
  struct OfDType {
    Attend attend;
    Multiply multiply;
  };
  OfDType f32, bf16, f16;  // for each element type of the caches
};

OCTAVO_DECLARE_SIMD(PagedAttentionKernels, paged_attention_kernels);

}  // namespace octavo
