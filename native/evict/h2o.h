// H2O: tokens that all queries so far attended to most (heavy hitters) stay, and the most recent ones, half
// of the budget unless said otherwise. Source: arXiv:2306.14048. Differs: all heads of a layer share one
// choice, by the mean mass over them, unless told not to; decode evicts before the step's own query has
// attended, and as blocks whole ones, by the mean over their tokens; the first block is protected.
#pragma once

#include "evict/scored_policy.h"

namespace octavo {

class H2oPolicy final : public ScoredPolicy {
 public:
  // Throws ERR_OCTAVO_BUDGET, also when the recent tokens and the first block do not fit into it.
  H2oPolicy(const PolicyConfig& config, int block_size);

  Evidence evidence() const override { return Evidence::kAttentionMass; }
  int64_t num_prompt_queries(int64_t num_tokens) const override { return num_tokens; }
  // A sum favours early tokens, which more queries see; the mean over those queries is another method, by
  // name.
  bool divides_mass() const override { return normalised_; }

 protected:
  // As blocks the recent tokens count in whole ones, rounded down, at least one.
  int num_protected_blocks() const override { return static_cast<int>(num_recent_ / block_size()); }
  int64_t num_protected_tokens(int64_t) const override { return num_recent_; }
  int64_t num_protected_newest() const override { return num_recent_; }

 private:
  int64_t num_recent_;
  bool normalised_;
};

}  // namespace octavo
