// exp is taken in fp32 and summed in fp64: it runs over the whole vocabulary in every step.
#include "session/distribution.h"

#include <algorithm>
#include <cmath>

namespace octavo {

Distribution distribution_of(const float* logits, int vocab_size) {
  const float largest = *std::max_element(logits, logits + vocab_size);
  double sum = 0;
  double weighted = 0;  // sum of exp(x) * x, with x at most 0
  for (int token = 0; token < vocab_size; ++token) {
    const float below = logits[token] - largest;
    const double mass = std::exp(below);
    sum += mass;
    if (mass > 0) weighted += mass * below;
  }
  const double log_sum = std::log(sum);
  return {.log_sum_exp = largest + log_sum, .entropy = std::max(0.0, log_sum - weighted / sum)};
}

}  // namespace octavo
