// H2O: tokens that all queries so far attended to most (heavy hitters) stay, and the most recent half of the
// budget. Source: arXiv:2306.14048. Differs: all heads of a layer share one choice, by the mean mass over
// them; in decode whole blocks go, by the mean over their tokens, before the step's own query has attended;
// the first block is protected.
#pragma once

#include "evict/scored_policy.h"

namespace octavo {

class H2oPolicy final : public ScoredPolicy {
 public:
  // Throws ERR_OCTAVO_BUDGET.
  H2oPolicy(const PolicyConfig& config, int block_size)
      : ScoredPolicy(config, block_size), normalised_(config.normalised) {}

  Evidence evidence() const override { return Evidence::kAttentionMass; }
  int64_t num_prompt_queries(int64_t num_tokens) const override { return num_tokens; }
  // A sum favours early tokens, which more queries see; the mean over those queries is another method, by
  // name.
  float score_mass(float mass, int64_t num_queries) const override {
    return normalised_ ? mass / static_cast<float>(num_queries) : mass;
  }

 protected:
  // Half of the budget in whole blocks, rounded down. A budget has at least three blocks, so at least one.
  int num_protected_blocks() const override { return static_cast<int>(budget() / block_size() / 2); }
  int64_t num_protected_tokens(int64_t) const override {
    return int64_t{num_protected_blocks()} * block_size();
  }

 private:
  bool normalised_;
};

}  // namespace octavo
