// StreamingLLM: the first tokens (the sinks) and the most recent ones stay. Its score is age: the position of
// a token, the place of a block in the table. Source: arXiv:2309.17453. Differs: as blocks, sinks and window
// are counted in blocks; positions are reassigned on option only.
#pragma once

#include "evict/budgeted_policy.h"

namespace octavo {

class StreamingLlmPolicy final : public BudgetedPolicy {
 public:
  // Throws ERR_OCTAVO_BUDGET, also when the sinks leave less than a block of the budget, and as blocks when
  // they are not whole ones.
  StreamingLlmPolicy(const PolicyConfig& config, int block_size);

  std::optional<Choice> choose_tokens(const PromptView& prompt) const override;
  std::optional<Choice> choose_block(const TableView& table) const override;
  std::optional<Choice> choose_cached_tokens(const CacheView& cache, int64_t num_dropped) const override;

 private:
  int64_t num_sinks_;
};

}  // namespace octavo
