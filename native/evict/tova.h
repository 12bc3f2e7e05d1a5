// TOVA: what the newest query attends to least goes. Source: arXiv:2401.06104. Differs: decode evicts before
// attention, and as blocks whole ones, by the mean over their tokens, each time the newest is full; the
// prompt is cut once, by its last query; the first block is protected, and so are the newest tokens unless
// told not to.
#pragma once

#include "evict/scored_policy.h"

namespace octavo {

class TovaPolicy final : public ScoredPolicy {
 public:
  // Throws ERR_OCTAVO_BUDGET.
  TovaPolicy(const PolicyConfig& config, int block_size)
      : ScoredPolicy(config, block_size), protect_newest_(config.protect_newest) {}

  Evidence evidence() const override { return Evidence::kLastQuery; }

 protected:
  int64_t num_protected_tokens(int64_t num_tokens) const override {
    return protect_newest_ ? ScoredPolicy::num_protected_tokens(num_tokens) : 0;
  }
  int64_t num_protected_newest() const override { return protect_newest_ ? 1 : 0; }

 private:
  bool protect_newest_;
};

}  // namespace octavo
