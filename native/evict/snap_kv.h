// SnapKV: a prompt's last queries, the window, score the tokens before it; the best stay, and the window.
// Only the prompt is cut: in decode the cache grows. Source: arXiv:2404.14469. Differs: all heads of a layer
// share one choice, by the mean over query heads, unless told not to; the first block and the last block's
// tokens are protected too.
#pragma once

#include "evict/scored_policy.h"

namespace octavo {

class SnapKvPolicy final : public ScoredPolicy {
 public:
  // Throws ERR_OCTAVO_BUDGET, also when window and the first block do not fit into it, and
  // ERR_OCTAVO_ARGUMENT for a pooling width that is not odd.
  SnapKvPolicy(const PolicyConfig& config, int block_size);

  Evidence evidence() const override { return Evidence::kPromptQueries; }
  int64_t num_prompt_queries(int64_t num_tokens) const override;
  std::vector<float> score_prompt(std::vector<float> mass) const override;
  std::optional<Choice> choose_block(const TableView&) const override { return std::nullopt; }

 protected:
  int64_t num_protected_tokens(int64_t num_tokens) const override;

 private:
  int64_t window_;
  int64_t pool_radius_;
  Pooling pooling_;
};

}  // namespace octavo
