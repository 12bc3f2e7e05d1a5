// See paged_logits.h. Heads turn into probabilities in parallel, each by itself, and are added in their
// order: the number of threads changes no bit.
#include <algorithm>
#include <limits>

#include "core/slot_bits.h"
#include "core/thread_pool.h"
#include "ops/attention_mass_simd.h"
#include "ops/paged_logits.h"
#include "ops/paged_splits.h"
#include "ops/softmax_simd.h"

namespace octavo {

namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();  // its probability is 0

}  // namespace

void PagedLogits::multiply(const PagedAttentionShape& shape, const float* query, const void* key_cache,
                           const int32_t* block_table, int64_t num_slots, const uint64_t* dead_slots) {
  num_query_heads_ = shape.num_query_heads;
  block_size_ = shape.block_size;
  num_slots_ = num_slots;
  const auto size = static_cast<size_t>(num_splits() * num_query_heads_ * kSlotsPerSplit);
  if (values_.size() < size) values_.resize(size);
  const PagedAttentionKernels::Multiply multiply = paged_attention_kernels_of(shape.kv_dtype).multiply;
  const PagedSplit all = {.query = query,
                          .key_cache = key_cache,
                          .value_cache = nullptr,
                          .block_table = block_table,
                          .dead_slots = dead_slots,
                          .group_size = shape.num_query_heads / shape.num_kv_heads,
                          .num_kv_heads = shape.num_kv_heads,
                          .head_dim = shape.head_dim,
                          .block_size = shape.block_size,
                          .first_kv_head = 0,
                          .num_kv_heads_here = shape.num_kv_heads,
                          .first_slot = 0,
                          .num_slots = 0,
                          .kv_len = num_slots,
                          .scale = 1,
                          .numerators = {},
                          .logits = nullptr,
                          .scratch = nullptr};
  for_each_split(all, num_query_heads_,
                 [&](const PagedSplit& split, int64_t first_head, int64_t split_index) {
                   multiply(split, row(split_index, first_head));
                 });
}

std::vector<float> PagedLogits::mass(float scale, int num_rows, const uint64_t* dead_slots) {
  const int64_t width = num_splits() * kSlotsPerSplit, num_heads = num_query_heads_;
  const int64_t heads_each = num_heads / num_rows;
  numerators_.resize(static_cast<size_t>(num_heads * width));
  std::vector<double> factors(static_cast<size_t>(num_heads));
  const double cost = static_cast<double>(num_heads * width) * 8;
  parallel_for_worthwhile(num_heads, cost, [&](int64_t begin, int64_t end, int) {
    for (int64_t head = begin; head < end; ++head) {
      float* const numerators = numerators_.data() + head * width;
      for (int64_t split = 0; split < num_splits(); ++split)
        std::copy_n(row(split, head), kSlotsPerSplit, numerators + split * kSlotsPerSplit);
      double sum = 0;
      OCTAVO_PICK_SIMD(softmax_kernels).renew(numerators, width, scale, kNothing, &sum);
      factors[static_cast<size_t>(head)] = 1 / (sum * static_cast<double>(heads_each));
    }
  });

  std::vector<float> mass(static_cast<size_t>(num_slots_ * num_rows));
  const AttentionMassKernels& kernels = OCTAVO_PICK_SIMD(attention_mass_kernels);
  for (int64_t first = 0; first < num_slots_; first += kSlotsPerSplit) {
    const int64_t end = std::min<int64_t>(first + kSlotsPerSplit, num_slots_);
    for (int64_t chooser = 0; chooser < num_rows; ++chooser) {
      double sums[kSlotsPerSplit];
      const int64_t head = chooser * heads_each;
      kernels.weigh(numerators_.data() + head * width + first, width, heads_each, end - first,
                    factors.data() + head, sums);
      int live = 0;
      for_live_slots(dead_slots, first, end, block_size_, [&](int64_t slot, int64_t, int) {
        mass[static_cast<size_t>(slot * num_rows + chooser)] = static_cast<float>(sums[live++]);
      });
    }
  }
  return mass;
}

void PagedLogits::leave_hole(int64_t slot, const uint64_t* dead_slots) {
  const int64_t split = slot / kSlotsPerSplit;
  int64_t place = 0;
  for_live_slots(dead_slots, split * kSlotsPerSplit, slot, block_size_,
                 [&](int64_t, int64_t, int) { ++place; });
  for (int64_t head = 0; head < num_query_heads_; ++head) {
    float* const logits = row(split, head);
    std::copy(logits + place + 1, logits + kSlotsPerSplit, logits + place);
    logits[kSlotsPerSplit - 1] = kNothing;
  }
}

void PagedLogits::move_newest_to(int64_t slot) {
  const int64_t newest = --num_slots_;
  for (int64_t head = 0; head < num_query_heads_; ++head) {
    float& from = row(newest / kSlotsPerSplit, head)[newest % kSlotsPerSplit];
    row(slot / kSlotsPerSplit, head)[slot % kSlotsPerSplit] = from;
    from = kNothing;
  }
}

}  // namespace octavo
