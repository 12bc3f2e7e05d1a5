// What policies share that keep a prompt, and each layer's cache in decode, within a budget of tokens.
#pragma once

#include <algorithm>

#include "evict/choose.h"
#include "evict/policy.h"

namespace octavo {

class BudgetedPolicy : public Policy {
 public:
  int64_t prompt_tokens_kept(int64_t num_tokens) const override { return std::min(num_tokens, budget_); }
  int64_t tokens_over_budget(int64_t num_live) const override {
    return std::max<int64_t>(0, num_live - budget_);
  }

 protected:
  // Throws ERR_OCTAVO_BUDGET as require_budget does.
  BudgetedPolicy(const PolicyConfig& config, int block_size)
      : Policy(config), budget_(require_budget(config, block_size)), block_size_(block_size) {}

  int64_t budget() const { return budget_; }  // KV tokens
  int block_size() const { return block_size_; }

 private:
  int64_t budget_;
  int block_size_;
};

}  // namespace octavo
