// Keeps everything: the reference for every other policy.
#pragma once

#include "evict/policy.h"

namespace octavo {

class FullPolicy final : public Policy {
 public:
  // Throws ERR_OCTAVO_BUDGET when a budget is given: it would be ignored.
  FullPolicy(const PolicyConfig& config, int block_size);

  int64_t prompt_tokens_kept(int64_t num_tokens) const override { return num_tokens; }
  std::optional<Choice> choose_tokens(const PromptView&) const override { return std::nullopt; }
  std::optional<Choice> choose_block(const TableView&) const override { return std::nullopt; }
};

}  // namespace octavo
