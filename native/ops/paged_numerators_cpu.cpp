// See paged_numerators.h. A tile's maximum is mostly that of its head, and the factor between them then 1.
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
  grow(tile_maxima_, num_partials * kTilesPerSplit);
  grow(maxima_, static_cast<size_t>(num_query_heads));
  grow(sums_, static_cast<size_t>(num_query_heads));
}

SplitNumerators PagedNumerators::of_split(int64_t first_head, int64_t split_index) {
  const int64_t partial = first_head * num_splits_ + split_index;
  return {.values = values_.data() + partial * kSlotsPerSplit,
          .tile_maxima = tile_maxima_.data() + partial * kTilesPerSplit,
          .head_stride = num_splits_ * kSlotsPerSplit,
          .maxima_stride = num_splits_ * kTilesPerSplit};
}

void PagedNumerators::end_head(int64_t head, float maximum, double sum) {
  maxima_[static_cast<size_t>(head)] = maximum;
  sums_[static_cast<size_t>(head)] = sum;
}

void PagedNumerators::add_mass_to(float* sums) const {
  const AttentionMassKernels& kernels = OCTAVO_PICK_SIMD(attention_mass_kernels);
  for (int64_t first = 0; first < kv_len_; first += kSlotsPerTile) {
    const int64_t count = std::min<int64_t>(kSlotsPerTile, kv_len_ - first);
    double mass[kSlotsPerTile] = {};
    for (int64_t head = 0; head < num_query_heads_; ++head) {
      const auto index = static_cast<size_t>(head);
      const float tile_maximum =
          tile_maxima_[static_cast<size_t>(head * num_splits_ * kTilesPerSplit + first / kSlotsPerTile)];
      double factor = 1 / (sums_[index] * num_query_heads_);
      if (tile_maximum != maxima_[index])
        factor *= std::exp(static_cast<double>(tile_maximum) - static_cast<double>(maxima_[index]));
      kernels.add(values_.data() + head * num_splits_ * kSlotsPerSplit + first, count, factor, mass);
    }
    for (int64_t slot = 0; slot < count; ++slot) sums[first + slot] += static_cast<float>(mass[slot]);
  }
}

}  // namespace octavo
