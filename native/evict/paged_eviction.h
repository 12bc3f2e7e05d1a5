// PagedEviction: the prompt's lowest-scoring tokens go before they are paged; in decode the lowest-scoring
// whole block goes each time the newest block becomes full over budget. Blocks never have holes. Source:
// arXiv:2509.04377, prefill and decode phases (Algorithm 1). Differs: a prompt shorter than the budget has
// its blocks scored too, so that they can go in decode. Where each head chooses for itself it does so
// for the prompt; blocks are scored by the mean over heads and go for all of them.
#pragma once

#include "evict/budgeted_policy.h"

namespace octavo {

class PagedEvictionPolicy final : public BudgetedPolicy {
 public:
  // Throws ERR_OCTAVO_BUDGET.
  PagedEvictionPolicy(const PolicyConfig& config, int block_size);

  Evidence evidence() const override { return Evidence::kNorms; }
  TokenScores score_tokens(const TokenNorms& norms) const override;
  int64_t prompt_tokens_kept(int64_t num_tokens) const override;
  std::optional<Choice> choose_tokens(const PromptView& prompt) const override;
  std::optional<Choice> choose_block(const TableView& table) const override;

 private:
  TokenScore score_;
  Candidates candidates_;
  TailProtect tail_protect_;
};

}  // namespace octavo
