// What every slot gets of attention, from the numerators that paged attention computed anyway: keeping them
// costs a copy, while a pass of its own would read all keys once more.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/paged_attention.h"
#include "ops/paged_attention_simd.h"

namespace octavo {

// Of one call of paged_attention_cpu; its memory is reused from call to call. One thread
// at a time, but for of_split and end_head, which touch memory of their own head and split.
class PagedNumerators {
 public:
  // Adds each live slot's probability to sums, averaged over query heads; of each row's share of them. With
  // the dead slots of that call.
  void add_mass_to(float* sums,  // [kv_len, num_rows], in logical order
                   int num_rows = 1, const uint64_t* dead_slots = nullptr);

  // For paged_attention_cpu: before all, where a split writes, and after each head.
  void begin(const PagedAttentionShape& shape, int64_t kv_len);
  SplitNumerators of_split(int64_t first_head, int64_t split_index);
  void end_head(int64_t head, float maximum, double sum);

 private:
  PagedAttentionShape shape_{};
  int64_t kv_len_ = 0, num_splits_ = 0;
  std::vector<float> values_;        // [num_query_heads, num_splits, kSlotsPerSplit], of live slots in order
  std::vector<float> split_maxima_;  // [num_query_heads, num_splits]
  std::vector<float> maxima_;        // [num_query_heads]
  std::vector<double> sums_;         // [num_query_heads], of exp(logit - maximum)
  std::vector<double> scratch_;
};

}  // namespace octavo
