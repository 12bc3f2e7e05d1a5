// Cosines do not change with the anchor's length, so the sum of directions serves for their mean.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/thread_pool.h"
#include "ops/key_distinctness.h"
#include "ops/key_distinctness_simd.h"

namespace octavo {

namespace {
// Lengths below this count as this when divided by: a key of zeros, directions that cancel out.
constexpr double kSmallestLength = 1e-8;
}  // namespace

void key_distinctness_cpu(const float* const* keys, int64_t num_tokens, int num_kv_heads, int head_dim,
                          float* scores) {
  const auto size = static_cast<size_t>(num_tokens);
  std::vector<double> cosines(size * static_cast<size_t>(num_kv_heads));  // [num_kv_heads, num_tokens]
  const double cost = static_cast<double>(num_tokens) * num_kv_heads * head_dim * 8;
  const KeyDistinctnessKernels& kernels = OCTAVO_PICK_SIMD(key_distinctness_kernels);
  parallel_for_worthwhile(num_kv_heads, cost, [&](int64_t begin, int64_t end, int) {
    std::vector<double> inverse_lengths(size);
    std::vector<double> anchor(static_cast<size_t>(head_dim));
    for (int64_t head = begin; head < end; ++head) {
      const KeyRows rows = {
          .keys = keys + head, .stride = num_kv_heads, .count = num_tokens, .head_dim = head_dim};
      std::fill(anchor.begin(), anchor.end(), 0.0);
      kernels.add_directions(rows, kSmallestLength, anchor.data(), inverse_lengths.data());
      double squares = 0;
      for (double& sum : anchor) {
        sum /= static_cast<double>(num_tokens);
        squares += sum * sum;
      }
      const double inverse_length = 1 / std::max(kSmallestLength, std::sqrt(squares));
      kernels.cosines(rows, anchor.data(), inverse_lengths.data(), inverse_length,
                      cosines.data() + static_cast<size_t>(head) * size);
    }
  });
  for (size_t token = 0; token < size; ++token) {
    double sum = 0;
    for (size_t head = 0; head < static_cast<size_t>(num_kv_heads); ++head)
      sum += cosines[head * size + token];
    scores[token] = static_cast<float>(-sum / num_kv_heads);
  }
}

}  // namespace octavo
