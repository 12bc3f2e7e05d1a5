// Mean over heads and pooling are both linear, so pooling the mean is the mean of the pooled.
#include "evict/snap_kv.h"

#include <algorithm>

#include "core/check.h"

namespace octavo {

namespace {
constexpr int64_t kDefaultWindow = 32;
constexpr int64_t kPoolRadius = 2;  // five tokens wide
}  // namespace

SnapKvPolicy::SnapKvPolicy(const PolicyConfig& config, int block_size)
    : ScoredPolicy(config, block_size),
      window_(config.window.value_or(std::min(kDefaultWindow, budget() / 2))) {
  if (window_ < 1 || window_ > budget() - block_size) {
    throw Error("ERR_OCTAVO_BUDGET", "Expected 1 to budget - blockSize (" +
                                         std::to_string(budget() - block_size) +
                                         ") for window but received " + std::to_string(window_));
  }
}

int64_t SnapKvPolicy::num_prompt_queries(int64_t num_tokens) const { return std::min(window_, num_tokens); }

// Tokens beyond either end count as zeros in the mean of five, so scores at the edges shrink. The window's
// own tokens are not among those pooled.
std::vector<float> SnapKvPolicy::score_prompt(std::vector<float> mass) const {
  const auto num_tokens = static_cast<int64_t>(mass.size());
  const int64_t end = std::max<int64_t>(0, num_tokens - window_);
  std::vector<float> scores = mass;
  for (int64_t token = 0; token < end; ++token) {
    float sum = 0;
    for (int64_t other = std::max<int64_t>(0, token - kPoolRadius);
         other < std::min(end, token + kPoolRadius + 1); ++other) {
      sum += mass[static_cast<size_t>(other)];
    }
    scores[static_cast<size_t>(token)] = sum / (2 * kPoolRadius + 1);
  }
  return scores;
}

int64_t SnapKvPolicy::num_protected_tokens(int64_t num_tokens) const {
  return std::max(window_, ScoredPolicy::num_protected_tokens(num_tokens));
}

}  // namespace octavo
