// Flash decoding: splits of the slots run in parallel and are then combined in their order.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/thread_pool.h"
#include "ops/paged_attention.h"
#include "ops/paged_attention_simd.h"
#include "ops/paged_logits.h"
#include "ops/paged_numerators.h"
#include "ops/paged_splits.h"

namespace octavo {

namespace {

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

}  // namespace

void paged_attention_cpu(const PagedAttentionShape& shape, const float* query, const CachedSlots& cached,
                         float scale, float* output, PagedNumerators* numerators, const PagedLogits* logits) {
  const int64_t kv_len = cached.kv_len;
  const int group_size = shape.num_query_heads / shape.num_kv_heads;
  const int64_t num_query_heads = shape.num_query_heads, head_dim = shape.head_dim;
  if (kv_len <= 0) return std::fill_n(output, num_query_heads * head_dim, 0.0f), void();
  const int64_t num_splits = num_splits_of(kv_len);
  const PagedAttentionKernels::Attend attend = paged_attention_kernels_of(shape.kv_dtype).attend;

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

  if (numerators) numerators->begin(shape, kv_len);
  const PagedSplit all = whole_table(shape, query, cached, scale);
  for_each_split(all, shape.num_query_heads, [&](PagedSplit& split, int64_t first_head, int64_t split_index) {
    const int64_t partial = split_index * num_query_heads + first_head;
    thread_local std::vector<Line<float>> scratch;
    if (numerators) split.numerators = numerators->of_split(first_head, split_index);
    if (logits) split.logits = logits->of_split(split_index, first_head);
    split.scratch =
        grown(scratch, int64_t{split.num_kv_heads_here} * group_size * (kSlotsPerSplit + head_dim));
    attend(split, maxima + partial, sums + partial, weighted + partial * head_dim);
  });

  // Half of what the splits left is with another core.
  const double combine_cost = static_cast<double>(num_splits) * num_query_heads * head_dim * 4;
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
