// Mean over heads and mean over neighbours are both linear, so pooling the mean is the mean of the pooled; a
// maximum is taken of the mean over heads.
#include "evict/snap_kv.h"

#include <algorithm>
#include <numeric>

#include "core/check.h"

namespace octavo {

namespace {
constexpr int64_t kDefaultWindow = 32;
}  // namespace

SnapKvPolicy::SnapKvPolicy(const PolicyConfig& config, int block_size)
    : ScoredPolicy(config, block_size),
      window_(config.window.value_or(std::min(kDefaultWindow, budget() / 2))),
      pool_radius_(config.pooling_width / 2),
      pooling_(config.pooling) {
  if (config.pooling_width < 1 || config.pooling_width % 2 == 0) {
    throw Error("ERR_OCTAVO_ARGUMENT", "Expected an odd number, at least 1, for poolingWidth but received " +
                                           std::to_string(config.pooling_width));
  }
  if (window_ < 1 || window_ > budget() - block_size) {
    throw Error("ERR_OCTAVO_BUDGET", "Expected 1 to budget - blockSize (" +
                                         std::to_string(budget() - block_size) +
                                         ") for window but received " + std::to_string(window_));
  }
}

int64_t SnapKvPolicy::num_prompt_queries(int64_t num_tokens) const { return std::min(window_, num_tokens); }

// Tokens beyond either end count as zeros in a mean, so scores at the edges shrink; a maximum passes them
// over. The window's own tokens are not among those pooled.
std::vector<float> SnapKvPolicy::score_prompt(std::vector<float> mass) const {
  const auto num_tokens = static_cast<int64_t>(mass.size());
  const int64_t end = std::max<int64_t>(0, num_tokens - window_);
  std::vector<float> scores = mass;
  for (int64_t token = 0; token < end; ++token) {
    const float* first = mass.data() + std::max<int64_t>(0, token - pool_radius_);
    const float* last = mass.data() + std::min(end, token + pool_radius_ + 1);
    scores[static_cast<size_t>(token)] =
        pooling_ == Pooling::kMaximum
            ? *std::max_element(first, last)
            : std::accumulate(first, last, 0.0F) / static_cast<float>(2 * pool_radius_ + 1);
  }
  return scores;
}

int64_t SnapKvPolicy::num_protected_tokens(int64_t num_tokens) const {
  return std::max(window_, ScoredPolicy::num_protected_tokens(num_tokens));
}

}  // namespace octavo
