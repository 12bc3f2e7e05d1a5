// Cosines do not change with the anchor's length, so the sum of directions serves for their mean.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/slot_bits.h"
#include "core/thread_pool.h"
#include "ops/key_distinctness.h"
#include "ops/key_distinctness_simd.h"
#include "ops/widen.h"

namespace octavo {

namespace {
// Lengths below this count as this when divided by: a key of zeros, directions that cancel out.
constexpr float kSmallestLength = 1e-8F;

// for_each_run(head, pass) calls pass(rows, first) for runs of a head's keys, which begin with token `first`.
template <typename ForEachRun>
void score(int64_t num_tokens, int num_heads, int head_dim, float* scores, ForEachRun&& for_each_run) {
  const auto size = static_cast<size_t>(num_tokens);
  std::vector<float> cosines(size * static_cast<size_t>(num_heads));  // [num_heads, num_tokens]
  const double cost = static_cast<double>(num_tokens) * num_heads * head_dim * 8;
  const KeyDistinctnessKernels& kernels = OCTAVO_PICK_SIMD(key_distinctness_kernels);
  parallel_for_worthwhile(num_heads, cost, [&](int64_t begin, int64_t end, int) {
    std::vector<float> inverse_lengths(size), direction(static_cast<size_t>(head_dim));
    std::vector<double> anchor(static_cast<size_t>(head_dim));
    for (int64_t head = begin; head < end; ++head) {
      std::fill(anchor.begin(), anchor.end(), 0.0);
      for_each_run(head, [&](const KeyRows& rows, int64_t first) {
        kernels.add_directions(rows, kSmallestLength, anchor.data(), inverse_lengths.data() + first);
      });
      double squares = 0;
      for (double& sum : anchor) {
        sum /= static_cast<double>(num_tokens);
        squares += sum * sum;
      }
      const double length = std::max<double>(kSmallestLength, std::sqrt(squares));
      std::transform(anchor.begin(), anchor.end(), direction.begin(),
                     [&](double sum) { return static_cast<float>(sum / length); });
      float* const head_cosines = cosines.data() + static_cast<size_t>(head) * size;
      for_each_run(head, [&](const KeyRows& rows, int64_t first) {
        kernels.cosines(rows, direction.data(), inverse_lengths.data() + first, head_cosines + first);
      });
    }
  });
  std::fill_n(scores, size, 0.0F);
  for (size_t head = 0; head < static_cast<size_t>(num_heads); ++head)
    for (size_t token = 0; token < size; ++token) scores[token] -= cosines[head * size + token];
  const auto count = static_cast<float>(num_heads);
  for (size_t token = 0; token < size; ++token) scores[token] /= count;
}

}  // namespace

void key_distinctness_cpu(const float* const* keys, int64_t num_tokens, int num_kv_heads, int head_dim,
                          float* scores) {
  score(num_tokens, num_kv_heads, head_dim, scores, [&](int64_t head, auto&& pass) {
    pass(KeyRows{.keys = keys + head, .stride = num_kv_heads, .count = num_tokens, .head_dim = head_dim}, 0);
  });
}

void paged_key_distinctness_cpu(const PagedAttentionShape& shape, const void* key_cache,
                                const int32_t* block_table, int64_t kv_len, const uint64_t* dead_slots,
                                int first_head, int num_heads, float* scores) {
  int64_t num_live = 0;
  for_slots(dead_slots, 0, kv_len, shape.block_size,
            [&](int64_t, int64_t, int, int live) { num_live += live; });
  score(num_live, num_heads, shape.head_dim, scores, [&](int64_t head, auto&& pass) {
    BlockRows rows(shape, key_cache);
    std::vector<const float*> keys(static_cast<size_t>(shape.block_size));
    int64_t num_passed = 0;
    for (int64_t first = 0; first < kv_len; first += shape.block_size) {
      const int64_t count = std::min<int64_t>(shape.block_size, kv_len - first);
      const float* key = rows.of(block_table[first / shape.block_size], first_head + head, count);
      if (first + shape.block_size < kv_len)
        rows.prefetch(block_table[first / shape.block_size + 1], first_head + head);
      int64_t num_keys = 0;
      for_slots(dead_slots, first, first + count, shape.block_size, [&](int64_t, int64_t, int, int live) {
        keys[static_cast<size_t>(num_keys)] = key;
        num_keys += live;
        key += shape.head_dim;
      });
      pass(KeyRows{.keys = keys.data(), .stride = 1, .count = num_keys, .head_dim = shape.head_dim},
           num_passed);
      num_passed += num_keys;
    }
  });
  if (num_live == kv_len) return;
  // From the live slots' order to their places: the last hole's follow it, then those between it and the one
  // before.
  int64_t end = kv_len;
  std::vector<int64_t> holes;
  for_dead_slots(dead_slots, (kv_len + shape.block_size - 1) / shape.block_size, shape.block_size,
                 [&](int64_t slot) {
                   if (slot < kv_len) holes.push_back(slot);
                 });
  for (auto hole = holes.rbegin(); hole != holes.rend(); ++hole) {
    const int64_t num_after = end - *hole - 1;
    std::copy_backward(scores + num_live - num_after, scores + num_live, scores + end);
    num_live -= num_after;
    end = *hole;
    scores[end] = 0;
  }
}

}  // namespace octavo
