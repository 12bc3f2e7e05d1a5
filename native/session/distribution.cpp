// It runs over the whole vocabulary in every step, so exp is the vectorised one of the prefill's softmax, and
// the sum has several accumulators.
#include "session/distribution.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "ops/softmax_simd.h"

namespace octavo {

Distribution distribution_of(const float* logits, int vocab_size, std::vector<float>& scratch) {
  scratch.assign(logits, logits + vocab_size);
  double sum = 0;
  const float largest =
      OCTAVO_PICK_SIMD(softmax_kernels)
          .renew(scratch.data(), vocab_size, 1.0F, -std::numeric_limits<float>::infinity(), &sum);
  constexpr int kLanes = 16;
  std::array<double, kLanes> weighted{};  // sums of exp(x) * x, with x at most 0
  for (int begin = 0; begin < vocab_size; begin += kLanes) {
    const int end = std::min(vocab_size, begin + kLanes);
    for (int token = begin; token < end; ++token) {
      weighted[static_cast<size_t>(token - begin)] +=
          static_cast<double>(scratch[static_cast<size_t>(token)]) * (logits[token] - largest);
    }
  }
  const double mean = std::accumulate(weighted.begin(), weighted.end(), 0.0) / sum;
  const double log_sum = std::log(sum);
  return {.log_sum_exp = largest + log_sum, .entropy = std::max(0.0, log_sum - mean)};
}

}  // namespace octavo
