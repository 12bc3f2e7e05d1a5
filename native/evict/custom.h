// A policy whose blocks the session's caller scores: the session stops for its scores when the newest block
// is full over budget. A prompt is paged whole, and cut back to the budget when decode first fills a block.
#pragma once

#include "evict/scored_policy.h"

namespace octavo {

class CustomPolicy final : public ScoredPolicy {
 public:
  // Throws ERR_OCTAVO_BUDGET.
  CustomPolicy(const PolicyConfig& config, int block_size) : ScoredPolicy(config, block_size) {}

  Evidence evidence() const override { return Evidence::kCaller; }
  int64_t prompt_tokens_kept(int64_t num_tokens) const override { return num_tokens; }
  std::optional<Choice> choose_tokens(const PromptView&) const override { return std::nullopt; }
  std::vector<int32_t> blocks_to_score(const TableView& table) const override {
    return scored_candidates(table);
  }
};

}  // namespace octavo
