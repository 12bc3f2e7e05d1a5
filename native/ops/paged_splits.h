// How the work over a block table is shared out: pairs of some KV heads and a split of the slots run in
// parallel, so that two KV heads still use every core.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/check.h"
#include "core/thread_pool.h"
#include "ops/paged_attention.h"
#include "ops/paged_attention_simd.h"

namespace octavo {

inline const PagedAttentionKernels::OfDType& paged_attention_kernels_of(DType dtype) {
  const PagedAttentionKernels& kernels = OCTAVO_PICK_SIMD(paged_attention_kernels);
  switch (dtype) {
    case DType::kF32:
      return kernels.f32;
    case DType::kBf16:
      return kernels.bf16;
    case DType::kF16:
      return kernels.f16;
    case DType::kI32:
      break;
  }
  throw Error("ERR_OCTAVO_DTYPE", "Expected f32, bf16 or f16 keys and values but received i32");
}

inline int64_t num_splits_of(int64_t num_slots) { return (num_slots + kSlotsPerSplit - 1) / kSlotsPerSplit; }

// The whole table as one split, of all heads; value_cache null where only keys are read.
inline PagedSplit whole_table(const PagedAttentionShape& shape, const float* query, const CachedSlots& cached,
                              float scale) {
  return {.query = query,
          .key_cache = cached.key_cache,
          .value_cache = cached.value_cache,
          .block_table = cached.block_table,
          .dead_slots = cached.dead_slots,
          .group_size = shape.num_query_heads / shape.num_kv_heads,
          .num_kv_heads = shape.num_kv_heads,
          .head_dim = shape.head_dim,
          .block_size = shape.block_size,
          .first_kv_head = 0,
          .num_kv_heads_here = shape.num_kv_heads,
          .first_slot = 0,
          .num_slots = 0,
          .kv_len = cached.kv_len,
          .scale = scale};
}

// Calls body(split, first_head, split_index) for each pair, in parallel. `all`: the same of all splits; its
// heads and slots are filled in, and its query moved on to the first head.
template <typename Body>
void for_each_split(const PagedSplit& all, int num_query_heads, Body&& body) {
  const int64_t num_splits = num_splits_of(all.kv_len);
  // A block holds its KV heads one after another, and memory is read fastest in its order: a thread takes all
  // of a split, and some only where threads would otherwise have none.
  const int64_t num_threads = ThreadPool::shared().num_threads();
  const int64_t num_parts =
      std::clamp<int64_t>((num_threads + num_splits - 1) / num_splits, 1, all.num_kv_heads);
  const int64_t heads_per_task = (all.num_kv_heads + num_parts - 1) / num_parts;
  const int64_t num_ranges = (all.num_kv_heads + heads_per_task - 1) / heads_per_task;
  const double cost = static_cast<double>(all.kv_len) * num_query_heads * all.head_dim;
  parallel_for_chunks(num_ranges * num_splits, cost, [&](int64_t task) {
    const int64_t kv_head = task / num_splits * heads_per_task, split_index = task % num_splits;
    const int64_t first_head = kv_head * all.group_size;
    PagedSplit split = all;
    split.query += first_head * all.head_dim;
    split.first_kv_head = static_cast<int>(kv_head);
    split.num_kv_heads_here = static_cast<int>(std::min(heads_per_task, all.num_kv_heads - kv_head));
    split.first_slot = split_index * kSlotsPerSplit;
    split.num_slots = static_cast<int>(std::min<int64_t>(kSlotsPerSplit, all.kv_len - split.first_slot));
    body(split, first_head, split_index);
  });
}

}  // namespace octavo
