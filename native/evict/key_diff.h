// KeyDiff: tokens whose keys point away from the mean direction of all live keys stay. The scores are
// key_distinctness_cpu's. Source: arXiv:2504.15364. Differs: all heads of a layer share one choice, by the
// mean of the scores over them, unless told not to; the prompt is cut once, at its end; the first block and
// the newest tokens are protected; as blocks whole ones go in decode, by the mean over their tokens.
#pragma once

#include "evict/scored_policy.h"

namespace octavo {

class KeyDiffPolicy final : public ScoredPolicy {
 public:
  // Throws ERR_OCTAVO_BUDGET.
  KeyDiffPolicy(const PolicyConfig& config, int block_size) : ScoredPolicy(config, block_size) {}

  Evidence evidence() const override { return Evidence::kKeys; }
};

}  // namespace octavo
