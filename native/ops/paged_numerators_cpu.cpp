// See paged_numerators.h. A split's maximum is mostly that of its head, and the factor between them then 1.
#include <algorithm>
#include <cmath>

#include "core/slot_bits.h"
#include "ops/attention_mass_simd.h"
#include "ops/paged_numerators.h"

namespace octavo {

void PagedNumerators::begin(int num_query_heads, int block_size, int64_t kv_len) {
  num_query_heads_ = num_query_heads;
  block_size_ = block_size;
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

void PagedNumerators::add_mass_to(float* sums, int num_rows, const uint64_t* dead_slots) const {
  const AttentionMassKernels& kernels = OCTAVO_PICK_SIMD(attention_mass_kernels);
  const int64_t heads_each = num_query_heads_ / num_rows;
  std::vector<double> factors(static_cast<size_t>(heads_each));
  for (int64_t first = 0; first < kv_len_; first += kSlotsPerSplit) {
    const int64_t end = std::min<int64_t>(first + kSlotsPerSplit, kv_len_);
    for (int64_t row = 0; row < num_rows; ++row) {
      const int64_t first_head = row * heads_each;
      for (int64_t i = 0; i < heads_each; ++i) {
        const auto head = static_cast<size_t>(first_head + i);
        const float split_maximum = split_maxima_[head * static_cast<size_t>(num_splits_) +
                                                  static_cast<size_t>(first / kSlotsPerSplit)];
        double factor = 1 / (sums_[head] * static_cast<double>(heads_each));
        if (split_maximum != maxima_[head])
          factor *= std::exp(static_cast<double>(split_maximum) - static_cast<double>(maxima_[head]));
        factors[static_cast<size_t>(i)] = factor;
      }
      double mass[kSlotsPerSplit];
      const int64_t stride = num_splits_ * kSlotsPerSplit;
      kernels.weigh(values_.data() + first_head * stride + first, stride, heads_each, end - first,
                    factors.data(), mass);
      int live = 0;
      for_live_slots(dead_slots, first, end, block_size_, [&](int64_t slot, int64_t, int) {
        sums[slot * num_rows + row] += static_cast<float>(mass[live++]);
      });
    }
  }
}

}  // namespace octavo
