// Flash decoding: (KV head, split of the slots) pairs run in parallel, so that two KV heads still use every
// core; the splits of a head are then combined in their order.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/check.h"
#include "core/thread_pool.h"
#include "ops/paged_attention.h"
#include "ops/paged_attention_simd.h"
#include "ops/paged_numerators.h"

namespace octavo {

namespace {

PagedAttentionKernels::Attend attend_kernel(DType dtype) {
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

// Vectors that lie across two lines of a cache are loaded and stored at half the speed.
template <typename Number>
struct alignas(64) Line {
  Number numbers[64 / sizeof(Number)];
};

template <typename Number>
Number* grown(std::vector<Line<Number>>& memory, int64_t count) {
  const size_t num_lines = static_cast<size_t>(count) * sizeof(Number) / 64 + 1;
  if (memory.size() < num_lines) memory.resize(num_lines);
  return memory.front().numbers;
}

// KV heads that a thread takes together, since a block holds them one after another: as long as there are
// splits enough for all threads.
int64_t heads_together(const PagedAttentionShape& shape, int64_t num_splits) {
  const int64_t num_tasks = int64_t{4} * ThreadPool::shared().num_threads();
  const int64_t ranges =
      std::clamp<int64_t>((num_tasks + num_splits - 1) / num_splits, 1, shape.num_kv_heads);
  return (shape.num_kv_heads + ranges - 1) / ranges;
}

}  // namespace

void paged_attention_cpu(const PagedAttentionShape& shape, const float* query, const void* key_cache,
                         const void* value_cache, const int32_t* block_table, int64_t kv_len, float scale,
                         float* output, PagedNumerators* numerators, const uint64_t* dead_slots) {
  const int group_size = shape.num_query_heads / shape.num_kv_heads;
  const int64_t num_query_heads = shape.num_query_heads, head_dim = shape.head_dim;
  if (kv_len <= 0) return std::fill_n(output, num_query_heads * head_dim, 0.0f), void();
  const int64_t num_splits = (kv_len + kSlotsPerSplit - 1) / kSlotsPerSplit;
  const PagedAttentionKernels::Attend attend = attend_kernel(shape.kv_dtype);

  thread_local std::vector<float> maxima_memory;
  thread_local std::vector<double> sums_memory;
  thread_local std::vector<Line<double>> weighted_memory;
  const size_t num_partials = static_cast<size_t>(num_splits * num_query_heads);
  if (maxima_memory.size() < num_partials) {
    maxima_memory.resize(num_partials);
    sums_memory.resize(num_partials);
  }
  // Plain pointers: a thread_local named in the body would be the helper's own.
  float* const maxima = maxima_memory.data();  // [num_splits, num_query_heads]
  double* const sums = sums_memory.data();     // [num_splits, num_query_heads]
  double* const weighted = grown(
      weighted_memory, num_splits * num_query_heads * head_dim);  // [num_splits, num_query_heads, head_dim]

  if (numerators) numerators->begin(shape.num_query_heads, kv_len);
  const double cost = static_cast<double>(kv_len) * num_query_heads * head_dim;
  const int64_t heads_per_task = heads_together(shape, num_splits);
  const int64_t num_ranges = (shape.num_kv_heads + heads_per_task - 1) / heads_per_task;
  parallel_for_chunks(num_ranges * num_splits, cost, [&](int64_t task) {
    const int64_t kv_head = task / num_splits * heads_per_task, split_index = task % num_splits;
    const int64_t num_heads_here = std::min(heads_per_task, shape.num_kv_heads - kv_head);
    const int64_t first_slot = split_index * kSlotsPerSplit;
    const int64_t first_head = kv_head * group_size, partial = split_index * num_query_heads + first_head;
    thread_local std::vector<Line<float>> scratch;
    const PagedSplit split = {
        .query = query + first_head * head_dim,
        .key_cache = key_cache,
        .value_cache = value_cache,
        .block_table = block_table,
        .dead_slots = dead_slots,
        .group_size = group_size,
        .num_kv_heads = shape.num_kv_heads,
        .head_dim = shape.head_dim,
        .block_size = shape.block_size,
        .first_kv_head = static_cast<int>(kv_head),
        .num_kv_heads_here = static_cast<int>(num_heads_here),
        .first_slot = first_slot,
        .num_slots = static_cast<int>(std::min<int64_t>(kSlotsPerSplit, kv_len - first_slot)),
        .kv_len = kv_len,
        .scale = scale,
        .numerators = numerators ? numerators->of_split(first_head, split_index) : SplitNumerators{},
        .scratch = grown(scratch, num_heads_here * group_size * (kSlotsPerSplit + head_dim))};
    attend(split, maxima + partial, sums + partial, weighted + partial * head_dim);
  });

  const double combine_cost = static_cast<double>(num_splits) * num_query_heads * head_dim * 2;
  parallel_for_worthwhile(num_query_heads, combine_cost, [&](int64_t begin, int64_t end, int) {
    for (int64_t head = begin; head < end; ++head) {
      float maximum = maxima[head];
      for (int64_t split = 1; split < num_splits; ++split)
        maximum = std::max(maximum, maxima[split * num_query_heads + head]);
      double* const total = weighted + head * head_dim;  // the first split's, reused
      double sum = 0;
      for (int64_t split = 0; split < num_splits; ++split) {
        const int64_t partial = split * num_query_heads + head;
        const double factor = std::exp(static_cast<double>(maxima[partial]) - static_cast<double>(maximum));
        const double* const part = weighted + partial * head_dim;
        sum += factor * sums[partial];
        if (split == 0)
          for (int64_t i = 0; i < head_dim; ++i) total[i] *= factor;
        else
          for (int64_t i = 0; i < head_dim; ++i) total[i] += factor * part[i];
      }
      if (numerators) numerators->end_head(head, maximum, sum);
      for (int64_t i = 0; i < head_dim; ++i) output[head * head_dim + i] = static_cast<float>(total[i] / sum);
    }
  });
}

}  // namespace octavo
