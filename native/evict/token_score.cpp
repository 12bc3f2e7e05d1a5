// Accumulates in fp32. Norms can overflow to infinity, hence the NaN of infinity / infinity.
#include "evict/token_score.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace octavo {

namespace {

float score_one(TokenScore kind, const TokenNorms& norms, int64_t token) {
  float first = 0;   // the sum over heads, or that of value norms for the ratio of means
  float second = 0;  // that of key norms for the ratio of means
  for (int head = 0; head < norms.num_kv_heads; ++head) {
    const int64_t at = token * norms.token_stride + head * norms.head_stride;
    const float key = norms.key[at];
    const float value = norms.value[at];
    // std::max(a, NaN) is a: the NaN must survive to be counted, so the comparison is written out.
    const float divisor = key < kSmallestKeyNorm ? kSmallestKeyNorm : key;
    switch (kind) {
      case TokenScore::kValueKeyRatio:
        first += value / divisor;
        break;
      case TokenScore::kValueKeyRatioOfMeans:
        first += value;
        second += key;
        break;
      case TokenScore::kValueNorm:
        first += value;
        break;
      case TokenScore::kInverseKeyNorm:
        first += 1.0F / divisor;
        break;
      case TokenScore::kKeyValueNormSum:
        first += key + value;
        break;
    }
  }
  const auto num_heads = static_cast<float>(norms.num_kv_heads);
  if (kind != TokenScore::kValueKeyRatioOfMeans) return first / num_heads;
  const float mean_key = second / num_heads;
  return first / num_heads / (mean_key < kSmallestKeyNorm ? kSmallestKeyNorm : mean_key);
}

}  // namespace

TokenScores score_tokens_by(TokenScore kind, const TokenNorms& norms) {
  TokenScores scores;
  scores.values.resize(static_cast<size_t>(norms.num_tokens));
  for (int64_t token = 0; token < norms.num_tokens; ++token) {
    float score = score_one(kind, norms, token);
    if (std::isnan(score)) {
      score = std::numeric_limits<float>::infinity();
      ++scores.num_nan;
    }
    scores.values[static_cast<size_t>(token)] = score;
  }
  return scores;
}

float block_score(const float* token_scores, int num_tokens) {
  float sum = 0;
  for (int token = 0; token < num_tokens; ++token) sum += token_scores[token];
  return sum / static_cast<float>(num_tokens);
}

}  // namespace octavo
