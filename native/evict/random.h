// The control: uniform over what PagedEviction leaves unprotected. A candidate's score is a number drawn for
// (seed, layer, step, candidate), so a rewound step makes the same choice again.
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

 private:
  Choice choose_drawn(std::vector<int32_t> candidates, int layer, int64_t step_index,
                      int64_t num_dropped) const;

  int64_t budget_;
  int block_size_;
  uint64_t seed_;
};

}  // namespace octavo
