// A policy whose blocks or tokens the session's caller scores: the session stops for its scores when there is
// something to evict. With blocks as unit a prompt is paged whole, and cut back to the budget when decode
// first fills a block; with tokens it is cut like any other.
#pragma once

#include "evict/scored_policy.h"

namespace octavo {

class CustomPolicy final : public ScoredPolicy {
 public:
  // Throws ERR_OCTAVO_BUDGET.
  CustomPolicy(const PolicyConfig& config, int block_size)
      : ScoredPolicy(config, block_size), sums_attention_(config.sums_attention) {}

  Evidence evidence() const override { return Evidence::kCaller; }
  bool sums_attention() const override { return sums_attention_; }
  int64_t prompt_tokens_kept(int64_t num_tokens) const override {
    return keeps_prompts() ? num_tokens : ScoredPolicy::prompt_tokens_kept(num_tokens);
  }
  std::optional<Choice> choose_tokens(const PromptView& prompt) const override {
    return keeps_prompts() ? std::nullopt : ScoredPolicy::choose_tokens(prompt);
  }
  std::vector<int32_t> blocks_to_score(const TableView& table) const override {
    return scored_candidates(table);
  }

 private:
  bool keeps_prompts() const { return unit() == EvictionUnit::kBlock; }

  bool sums_attention_;
};

}  // namespace octavo
