// TOVA: what the newest query attends to least goes. Source: arXiv:2401.06104. Differs: in decode whole
// blocks go, by the mean over their tokens, each time the newest is full, and not a token a step; the prompt
// is cut once, by its last query; the first block and the newest tokens are protected.
#pragma once

#include "evict/scored_policy.h"

namespace octavo {

class TovaPolicy final : public ScoredPolicy {
 public:
  // Throws ERR_OCTAVO_BUDGET.
  TovaPolicy(const PolicyConfig& config, int block_size) : ScoredPolicy(config, block_size) {}

  Evidence evidence() const override { return Evidence::kLastQuery; }
};

}  // namespace octavo
