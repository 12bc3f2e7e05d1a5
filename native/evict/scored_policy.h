// What policies share that keep the highest scores within a budget: the first block and the newest tokens are
// protected; of the rest, the lowest-scoring tokens of a prompt go, and the lowest-scoring block or token in
// decode.
#pragma once

#include "evict/policy.h"

namespace octavo {

class ScoredPolicy : public Policy {
 public:
  int64_t prompt_tokens_kept(int64_t num_tokens) const override;
  std::optional<Choice> choose_tokens(const PromptView& prompt) const override;
  std::optional<Choice> choose_block(const TableView& table) const override;
  int64_t tokens_over_budget(int64_t num_live) const override {
    return num_live > budget_ ? num_live - budget_ : 0;
  }
  std::optional<Choice> choose_cached_tokens(CacheView cache, int64_t num_dropped) const override;

 protected:
  // Throws ERR_OCTAVO_BUDGET.
  ScoredPolicy(const PolicyConfig& config, int block_size);

  int64_t budget() const { return budget_; }
  int block_size() const { return block_size_; }
  // Last tokens of a prompt that are protected; with the first block they fit into the budget.
  virtual int64_t num_protected_tokens(int64_t num_tokens) const;
  // Blocks that choose_block chooses among; none within the budget.
  std::vector<int32_t> scored_candidates(const TableView& table) const;
  // Newest blocks that are protected in decode, 1 to budget / block_size - 1.
  virtual int num_protected_blocks() const { return 1; }
  // Newest tokens that are protected in decode with tokens as unit, 0 to budget - block_size.
  virtual int64_t num_protected_newest() const { return 1; }

 private:
  int64_t budget_;
  int block_size_;
};

}  // namespace octavo
