// See paged_logits.h. Heads turn into probabilities in parallel, each by itself, and are added in their
// order: the number of threads changes no bit.
#include <algorithm>
#include <limits>

#include "core/slot_bits.h"
#include "ops/attention_mass_simd.h"
#include "ops/mass_of_heads.h"
#include "ops/paged_logits.h"
#include "ops/paged_splits.h"
#include "ops/softmax_simd.h"

namespace octavo {

namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();  // its probability is 0

}  // namespace

void PagedLogits::multiply(const PagedAttentionShape& shape, const float* query, const void* key_cache,
                           const int32_t* block_table, int64_t num_slots, const uint64_t* dead_slots) {
  shape_ = shape;
  num_slots_ = num_slots;
  const auto size = static_cast<size_t>(num_splits() * shape_.num_query_heads * kSlotsPerSplit);
  if (values_.size() < size) values_.resize(size);
  const PagedAttentionKernels::Multiply multiply = paged_attention_kernels_of(shape.kv_dtype).multiply;
  const PagedSplit all = whole_table(shape, query,
                                     {.key_cache = key_cache,
                                      .value_cache = nullptr,
                                      .block_table = block_table,
                                      .kv_len = num_slots,
                                      .dead_slots = dead_slots},
                                     1);
  for_each_split(all, shape_.num_query_heads,
                 [&](const PagedSplit& split, int64_t first_head, int64_t split_index) {
                   multiply(split, row(split_index, first_head));
                 });
}

void PagedLogits::mass(float scale, int num_rows, const uint64_t* dead_slots, std::vector<float>& to) {
  const AttentionMassKernels& kernels = OCTAVO_PICK_SIMD(attention_mass_kernels);
  const SoftmaxKernels& softmax = OCTAVO_PICK_SIMD(softmax_kernels);
  const int64_t group_size = shape_.num_query_heads / shape_.num_kv_heads;
  const int64_t heads_each = shape_.num_query_heads / num_rows;
  const int64_t width = num_splits() * kSlotsPerSplit;
  // Nothing is known after the last slot; whole vectors of any width.
  const int64_t count = (num_slots_ + 15) / 16 * 16;
  to.assign(static_cast<size_t>(num_slots_ * num_rows), 0.0F);
  const auto weigh = [&](int64_t kv_head, double* mass) {
    thread_local std::vector<float> numerators;  // [group_size, width]
    thread_local std::vector<double> factors;
    numerators.resize(static_cast<size_t>(group_size * width));
    factors.resize(static_cast<size_t>(group_size));
    for (int64_t i = 0; i < group_size; ++i) {
      float* const of_head = numerators.data() + i * width;
      for (int64_t split = 0; split < num_splits(); ++split)
        std::copy_n(row(split, kv_head * group_size + i), kSlotsPerSplit, of_head + split * kSlotsPerSplit);
      double sum = 0;
      softmax.renew(of_head, count, scale, kNothing, &sum);
      factors[static_cast<size_t>(i)] = 1 / (sum * static_cast<double>(heads_each));
    }
    kernels.weigh(numerators.data(), width, group_size, count, factors.data(), mass);
  };
  add_mass_of_heads(shape_, num_slots_, num_rows, dead_slots, to.data(), scratch_, 4, weigh);
}

void PagedLogits::leave_hole(int64_t slot, const uint64_t* dead_slots) {
  const int64_t split = slot / kSlotsPerSplit;
  int64_t place = 0;
  for_slots(dead_slots, split * kSlotsPerSplit, slot, shape_.block_size,
            [&](int64_t, int64_t, int, int live) { place += live; });
  for (int64_t head = 0; head < shape_.num_query_heads; ++head) {
    float* const logits = row(split, head);
    std::copy(logits + place + 1, logits + kSlotsPerSplit, logits + place);
    logits[kSlotsPerSplit - 1] = kNothing;
  }
}

void PagedLogits::move_newest_to(int64_t slot) {
  const int64_t newest = --num_slots_;
  for (int64_t head = 0; head < shape_.num_query_heads; ++head) {
    float& from = row(newest / kSlotsPerSplit, head)[newest % kSlotsPerSplit];
    row(slot / kSlotsPerSplit, head)[slot % kSlotsPerSplit] = from;
    from = kNothing;
  }
}

}  // namespace octavo
