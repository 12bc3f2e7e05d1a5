// What policies share that keep the highest scores within a budget: the first block and the newest tokens are
// protected; of the rest, the lowest-scoring tokens of a prompt go, and the lowest-scoring block or token in
// decode.
#pragma once

#include "evict/budgeted_policy.h"

namespace octavo {

class ScoredPolicy : public BudgetedPolicy {
 public:
  std::optional<Choice> choose_tokens(const PromptView& prompt) const override;
  std::optional<Choice> choose_block(const TableView& table) const override;
  std::optional<Choice> choose_cached_tokens(const CacheView& cache, int64_t num_dropped) const override;

 protected:
  // Throws ERR_OCTAVO_BUDGET.
  ScoredPolicy(const PolicyConfig& config, int block_size) : BudgetedPolicy(config, block_size) {}

  // Last tokens of a prompt that are protected; with the first block they fit into the budget.
  virtual int64_t num_protected_tokens(int64_t num_tokens) const;
  // Blocks that choose_block chooses among; none within the budget.
  std::vector<int32_t> scored_candidates(const TableView& table) const;
  // Newest blocks that are protected in decode, 1 to budget / block_size - 1.
  virtual int num_protected_blocks() const { return 1; }
  // Newest tokens that are protected in decode with tokens as unit, 0 to budget - block_size.
  virtual int64_t num_protected_newest() const { return 1; }
};

}  // namespace octavo
