// The control: uniform over what PagedEviction leaves unprotected, or over all tokens but the first block's
// and the newest. A candidate's score is a number drawn for (seed, layer, head, step, candidate), so a
// rewound step makes the same choice again.
#pragma once

#include "evict/budgeted_policy.h"

namespace octavo {

class RandomPolicy final : public BudgetedPolicy {
 public:
  // Throws ERR_OCTAVO_BUDGET.
  RandomPolicy(const PolicyConfig& config, int block_size);

  std::optional<Choice> choose_tokens(const PromptView& prompt) const override;
  std::optional<Choice> choose_block(const TableView& table) const override;
  std::optional<Choice> choose_cached_tokens(const CacheView& cache, int64_t num_dropped) const override;

 private:
  // stream: the layer, and the head where heads choose for themselves.
  std::vector<float> draw(std::span<const int32_t> candidates, uint32_t stream, int64_t step_index) const;

  uint64_t seed_;
};

}  // namespace octavo
