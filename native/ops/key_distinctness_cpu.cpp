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
constexpr double kSmallestLength = 1e-8;

// for_each_run(head, pass) calls pass(rows, first) for runs of a head's keys, which begin with token `first`.
template <typename ForEachRun>
void score(int64_t num_tokens, int num_heads, int head_dim, float* scores, ForEachRun&& for_each_run) {
  const auto size = static_cast<size_t>(num_tokens);
  std::vector<double> cosines(size * static_cast<size_t>(num_heads));  // [num_heads, num_tokens]
  const double cost = static_cast<double>(num_tokens) * num_heads * head_dim * 8;
  const KeyDistinctnessKernels& kernels = OCTAVO_PICK_SIMD(key_distinctness_kernels);
  parallel_for_worthwhile(num_heads, cost, [&](int64_t begin, int64_t end, int) {
    std::vector<double> inverse_lengths(size);
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
      const double inverse_length = 1 / std::max(kSmallestLength, std::sqrt(squares));
      double* const head_cosines = cosines.data() + static_cast<size_t>(head) * size;
      for_each_run(head, [&](const KeyRows& rows, int64_t first) {
        kernels.cosines(rows, anchor.data(), inverse_lengths.data() + first, inverse_length,
                        head_cosines + first);
      });
    }
  });
  for (size_t token = 0; token < size; ++token) {
    double sum = 0;
    for (size_t head = 0; head < static_cast<size_t>(num_heads); ++head) sum += cosines[head * size + token];
    scores[token] = static_cast<float>(-sum / num_heads);
  }
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
  const auto is_live = [&](int64_t slot) {
    return !dead_slots || !slot_bit(dead_slots, slot, shape.block_size);
  };
  int64_t num_live = 0;
  for (int64_t slot = 0; slot < kv_len; ++slot) num_live += is_live(slot) ? 1 : 0;
  score(num_live, num_heads, shape.head_dim, scores, [&](int64_t head, auto&& pass) {
    BlockRows rows(shape, key_cache);
    std::vector<const float*> keys;
    int64_t num_passed = 0;
    for (int64_t first = 0; first < kv_len; first += shape.block_size) {
      const int64_t count = std::min<int64_t>(shape.block_size, kv_len - first);
      const float* key = rows.of(block_table[first / shape.block_size], first_head + head, count);
      if (first + shape.block_size < kv_len)
        rows.prefetch(block_table[first / shape.block_size + 1], first_head + head);
      keys.clear();
      for (int64_t slot = first; slot < first + count; ++slot, key += shape.head_dim) {
        if (is_live(slot)) keys.push_back(key);
      }
      const auto num_keys = static_cast<int64_t>(keys.size());
      pass(KeyRows{.keys = keys.data(), .stride = 1, .count = num_keys, .head_dim = shape.head_dim},
           num_passed);
      num_passed += num_keys;
    }
  });
  // From the live slots' order to their places, from the last on.
  for (int64_t slot = kv_len - 1; slot >= 0; --slot) scores[slot] = is_live(slot) ? scores[--num_live] : 0;
}

}  // namespace octavo
