// See paged_numerators.h. A split's maximum is mostly that of its head, and the factor between them then 1.
#include <algorithm>
#include <cmath>

#include "ops/attention_mass_simd.h"
#include "ops/paged_numerators.h"

namespace octavo {

void PagedNumerators::begin(int num_query_heads, int64_t kv_len) {
  num_query_heads_ = num_query_heads;
  kv_len_ = kv_len;
  num_splits_ = (kv_len + kSlotsPerSplit - 1) / kSlotsPerSplit;
  const auto num_partials = static_cast<size_t>(num_query_heads * num_splits_);
  const auto grow = [](auto& memory, size_t size) {
    if (memory.size() < size) memory.resize(size);
  };
  grow(values_, num_partials * kSlotsPerSplit);
  grow(split_maxima_, num_partials);
  grow(maxima_, static_cast<size_t>(num_query_heads));
  grow(sums_, static_cast<size_t>(num_query_heads));
}

SplitNumerators PagedNumerators::of_split(int64_t first_head, int64_t split_index) {
  const int64_t partial = first_head * num_splits_ + split_index;
  return {.values = values_.data() + partial * kSlotsPerSplit,
          .maxima = split_maxima_.data() + partial,
          .head_stride = num_splits_ * kSlotsPerSplit,
          .maxima_stride = num_splits_};
}

void PagedNumerators::end_head(int64_t head, float maximum, double sum) {
  maxima_[static_cast<size_t>(head)] = maximum;
  sums_[static_cast<size_t>(head)] = sum;
}

void PagedNumerators::add_mass_to(float* sums) const {
  const AttentionMassKernels& kernels = OCTAVO_PICK_SIMD(attention_mass_kernels);
  for (int64_t first = 0; first < kv_len_; first += kSlotsPerSplit) {
    const int64_t count = std::min<int64_t>(kSlotsPerSplit, kv_len_ - first);
    double mass[kSlotsPerSplit] = {};
    for (int64_t head = 0; head < num_query_heads_; ++head) {
      const auto index = static_cast<size_t>(head);
      const float split_maximum =
          split_maxima_[static_cast<size_t>(head * num_splits_ + first / kSlotsPerSplit)];
      double factor = 1 / (sums_[index] * num_query_heads_);
      if (split_maximum != maxima_[index])
        factor *= std::exp(static_cast<double>(split_maximum) - static_cast<double>(maxima_[index]));
      kernels.add(values_.data() + head * num_splits_ * kSlotsPerSplit + first, count, factor, mass);
    }
    for (int64_t slot = 0; slot < count; ++slot) sums[first + slot] += static_cast<float>(mass[slot]);
  }
}

}  // namespace octavo
