// Scores of tokens and blocks from norms of keys and values. Heads are averaged, so that all heads of a layer
// share one choice; the rotation by RoPE leaves norms unchanged.
#pragma once

#include "evict/policy.h"

namespace octavo {

// Norms below this count as this when divided by.
constexpr float kSmallestKeyNorm = 1e-6F;

// Source: arXiv:2509.04377, token importance; the other kinds are ablations.
TokenScores score_tokens_by(TokenScore kind, const TokenNorms& norms);

// Mean of the scores of a full block's tokens, in slot order.
float block_score(const float* token_scores,  // [num_tokens]
                  int num_tokens);

}  // namespace octavo
