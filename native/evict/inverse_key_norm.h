// Inverse key L2-norm: tokens whose keys are short stay, as they draw the most attention. Source:
// arXiv:2406.11430. Differs: all heads of a layer share one choice, by the mean of 1 / |K| over them, unless
// told not to; all layers evict but those named; the first block and the newest tokens are protected; as
// blocks whole ones go in decode, by the mean over their tokens.
#pragma once

#include "evict/scored_policy.h"
#include "evict/token_score.h"

namespace octavo {

class InverseKeyNormPolicy final : public ScoredPolicy {
 public:
  // Throws ERR_OCTAVO_BUDGET.
  InverseKeyNormPolicy(const PolicyConfig& config, int block_size) : ScoredPolicy(config, block_size) {}

  Evidence evidence() const override { return Evidence::kNorms; }
  TokenScores score_tokens(const TokenNorms& norms) const override {
    return score_tokens_by(TokenScore::kInverseKeyNorm, norms);
  }
};

}  // namespace octavo
