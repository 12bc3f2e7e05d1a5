// See paged_numerators.h. A split's maximum is mostly that of its head, and the factor between them then 1.
#include <algorithm>
#include <cmath>

#include "ops/attention_mass_simd.h"
#include "ops/mass_of_heads.h"
#include "ops/paged_numerators.h"

namespace octavo {

void PagedNumerators::begin(const PagedAttentionShape& shape, int64_t kv_len) {
  shape_ = shape;
  kv_len_ = kv_len;
  num_splits_ = (kv_len + kSlotsPerSplit - 1) / kSlotsPerSplit;
  const auto num_partials = static_cast<size_t>(shape.num_query_heads * num_splits_);
  const auto grow = [](auto& memory, size_t size) {
    if (memory.size() < size) memory.resize(size);
  };
  grow(values_, num_partials * kSlotsPerSplit);
  grow(split_maxima_, num_partials);
  grow(maxima_, static_cast<size_t>(shape.num_query_heads));
  grow(sums_, static_cast<size_t>(shape.num_query_heads));
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

void PagedNumerators::add_mass_to(float* sums, int num_rows, const uint64_t* dead_slots) {
  const AttentionMassKernels& kernels = OCTAVO_PICK_SIMD(attention_mass_kernels);
  const int64_t group_size = shape_.num_query_heads / shape_.num_kv_heads;
  const int64_t heads_each = shape_.num_query_heads / num_rows;
  const int64_t stride = num_splits_ * kSlotsPerSplit;
  add_mass_of_heads(
      shape_, kv_len_, num_rows, dead_slots, sums, scratch_, 2, [&](int64_t kv_head, double* mass) {
        std::vector<double> factors(static_cast<size_t>(group_size));
        const int64_t first_head = kv_head * group_size;
        for (int64_t split = 0; split < num_splits_; ++split) {
          for (int64_t i = 0; i < group_size; ++i) {
            const int64_t head = first_head + i;
            const float split_maximum = split_maxima_[static_cast<size_t>(head * num_splits_ + split)];
            const float maximum = maxima_[static_cast<size_t>(head)];
            double factor = 1 / (sums_[static_cast<size_t>(head)] * static_cast<double>(heads_each));
            if (split_maximum != maximum)
              factor *= std::exp(static_cast<double>(split_maximum) - static_cast<double>(maximum));
            factors[static_cast<size_t>(i)] = factor;
          }
          const int64_t at = split * kSlotsPerSplit;
          kernels.weigh(values_.data() + first_head * stride + at, stride, group_size, kSlotsPerSplit,
                        factors.data(), mass + at);
        }
      });
}

}  // namespace octavo
