// The control: uniform over what PagedEviction leaves unprotected, or over all tokens but the first block's
// and the newest. A candidate's score is a number drawn for (seed, layer, head, step, candidate), so a
// rewound step makes the same choice again.
#pragma once

#include "evict/policy.h"

namespace octavo {

class RandomPolicy final : public Policy {
 public:
  // Throws ERR_OCTAVO_BUDGET.
  RandomPolicy(const PolicyConfig& config, int block_size);

  int64_t prompt_tokens_kept(int64_t num_tokens) const override;
  std::optional<Choice> choose_tokens(const PromptView& prompt) const override;
  std::optional<Choice> choose_block(const TableView& table) const override;
  int64_t tokens_over_budget(int64_t num_live) const override {
    return num_live > budget_ ? num_live - budget_ : 0;
  }
  std::optional<Choice> choose_cached_tokens(CacheView cache, int64_t num_dropped) const override;

 private:
  // stream: the layer, and the head where heads choose for themselves.
  std::vector<float> draw(const std::vector<int32_t>& candidates, uint32_t stream, int64_t step_index) const;

  int64_t budget_;
  int block_size_;
  uint64_t seed_;
};

}  // namespace octavo
