// What a policy's scores are made of, measured where the cache is and only for policies that ask. Blocks are
// scored as the newest becomes full, so all of them are full then.
#include <cmath>

#include "core/check.h"
#include "evict/token_score.h"
#include "ops/attention_mass.h"
#include "ops/key_distinctness.h"
#include "ops/kv_norms.h"
#include "session/session.h"
#include "session/stopwatch.h"

namespace octavo {

// Of the prompt's tokens; none for a policy without evidence.
std::vector<float> Session::score_prompt() {
  Step& step = *step_;
  const Stopwatch stopwatch(step.score_us);
  const LlamaConfig& config = model_config();
  const auto num_tokens = static_cast<int64_t>(step.tokens.size());
  std::vector<float> scores;
  switch (policy_->evidence()) {
    case Evidence::kNone:
    case Evidence::kCaller:
      break;
    case Evidence::kNorms: {
      const int64_t num_rows = num_tokens * config.num_kv_heads;
      std::vector<float> norms(static_cast<size_t>(2 * num_rows));
      kv_norms_cpu(activations_.key.data(), activations_.value.data(), num_tokens, config.num_kv_heads,
                   config.head_dim, norms.data(), norms.data() + num_rows);
      TokenScores scored = policy_->score_tokens({.key = norms.data(),
                                                  .value = norms.data() + num_rows,
                                                  .num_tokens = num_tokens,
                                                  .num_kv_heads = config.num_kv_heads,
                                                  .token_stride = config.num_kv_heads,
                                                  .head_stride = 1});
      layers_[static_cast<size_t>(step.layer)].num_nan_scores += scored.num_nan;
      scores = std::move(scored.values);
      break;
    }
    case Evidence::kKeys: {
      std::vector<const float*> keys;
      for (size_t at = 0; at < activations_.key.size(); at += static_cast<size_t>(config.head_dim))
        keys.push_back(activations_.key.data() + at);
      scores.resize(static_cast<size_t>(num_tokens));
      key_distinctness_cpu(keys.data(), num_tokens, config.num_kv_heads, config.head_dim, scores.data());
      break;
    }
    case Evidence::kLastQuery:
    case Evidence::kAttentionMass:
    case Evidence::kPromptQueries:
      scores.resize(static_cast<size_t>(num_tokens));
      prompt_attention_mass_cpu(config.num_query_heads, config.num_kv_heads, config.head_dim,
                                activations_.query.data(), activations_.key.data(), num_tokens,
                                policy_->num_prompt_queries(num_tokens), attention_scale(config),
                                scores.data());
      scores = policy_->score_prompt(std::move(scores));
      break;
  }
  return scores;
}

void Session::score_blocks() {
  Step& step = *step_;
  const Stopwatch stopwatch(step.score_us);
  Layer& layer = layers_[static_cast<size_t>(step.layer)];
  switch (policy_->evidence()) {
    case Evidence::kNone:
    case Evidence::kPromptQueries:
    case Evidence::kCaller:
      break;
    case Evidence::kNorms:
      score_block(step.layer, layer.cache.table().num_blocks() - 1);
      break;
    case Evidence::kKeys:
      set_block_scores(layer, distinctness_of_live_keys(layer.cache));
      break;
    case Evidence::kLastQuery:
      set_block_scores(layer, attention_mass_of_step(layer.cache));
      break;
    case Evidence::kAttentionMass:
      set_block_scores(layer, layer.attention_mass);
      break;
  }
}

std::optional<ScoreEvent> Session::ask_for_scores() const {
  std::vector<int32_t> candidates = policy_->blocks_to_score(table_view());
  if (candidates.empty()) return std::nullopt;
  return ScoreEvent{.step_index = step_->index, .layer = step_->layer, .candidates = std::move(candidates)};
}

void Session::take_scores(const std::vector<float>& scores) {
  const bool asked = step_ && step_->phase == Phase::kDecode && step_->stage == Stage::kScore;
  const std::vector<int32_t> blocks = asked ? policy_->blocks_to_score(table_view()) : std::vector<int32_t>();
  if (blocks.empty()) {
    throw Error("ERR_OCTAVO_ARGUMENT", "Expected a session that stopped for scores but this one did not");
  }
  if (scores.size() != blocks.size()) {
    throw Error("ERR_OCTAVO_ARGUMENT", "Expected " + std::to_string(blocks.size()) +
                                           " scores, one of each candidate, but received " +
                                           std::to_string(scores.size()));
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i])) {
      throw Error("ERR_OCTAVO_POLICY",
                  "Expected a number as score of block " + std::to_string(blocks[i]) + " but received NaN");
    }
  }
  KvCache& cache = layers_[static_cast<size_t>(step_->layer)].cache;
  for (size_t i = 0; i < scores.size(); ++i) cache.set_score(blocks[i], scores[i]);
  step_->stage = Stage::kChoose;
}

void Session::score_block(int layer_index, int logical_index) {
  Layer& layer = layers_[static_cast<size_t>(layer_index)];
  KvCache& cache = layer.cache;
  const KvCacheShape& shape = cache.shape();
  const int32_t block_id = cache.table().block_id(logical_index);
  const int64_t num_rows = int64_t{shape.num_kv_heads} * shape.block_size;
  std::vector<float> norms(static_cast<size_t>(2 * num_rows));
  kv_norms_cpu(cache.block_keys(block_id), cache.block_values(block_id), num_rows, 1, shape.head_dim,
               norms.data(), norms.data() + num_rows);
  const TokenScores scores = policy_->score_tokens({.key = norms.data(),
                                                    .value = norms.data() + num_rows,
                                                    .num_tokens = shape.block_size,
                                                    .num_kv_heads = shape.num_kv_heads,
                                                    .token_stride = 1,
                                                    .head_stride = shape.block_size});
  layer.num_nan_scores += scores.num_nan;
  cache.set_score(logical_index, block_score(scores.values.data(), shape.block_size));
}

void Session::set_block_scores(Layer& layer, const std::vector<float>& token_scores) {
  for (int block = 0; block < layer.cache.table().num_blocks(); ++block) {
    const float* scores = token_scores.data() + int64_t{block} * config_.block_size;
    layer.cache.set_score(block, block_score(scores, config_.block_size));
  }
}

std::vector<float> Session::distinctness_of_live_keys(const KvCache& cache) const {
  const KvCacheShape& shape = cache.shape();
  const int64_t kv_len = cache.table().kv_len();
  std::vector<const float*> keys;
  keys.reserve(static_cast<size_t>(kv_len * shape.num_kv_heads));
  for (int64_t slot = 0; slot < kv_len; ++slot) {
    const float* block = cache.block_keys(cache.table().block_id(static_cast<int>(slot / shape.block_size)));
    for (int64_t head = 0; head < shape.num_kv_heads; ++head)
      keys.push_back(block + (head * shape.block_size + slot % shape.block_size) * shape.head_dim);
  }
  std::vector<float> scores(static_cast<size_t>(kv_len));
  key_distinctness_cpu(keys.data(), kv_len, shape.num_kv_heads, shape.head_dim, scores.data());
  return scores;
}

// What the query of the step under way gives each live slot.
std::vector<float> Session::attention_mass_of_step(const KvCache& cache) const {
  const LlamaConfig& config = model_config();
  std::vector<float> mass(static_cast<size_t>(cache.table().kv_len()));
  paged_attention_mass_cpu({.num_query_heads = config.num_query_heads,
                            .num_kv_heads = config.num_kv_heads,
                            .head_dim = config.head_dim,
                            .block_size = config_.block_size},
                           activations_.query.data(), cache.keys().f32(), cache.table().block_ids().data(),
                           cache.table().kv_len(), attention_scale(config), mass.data());
  return mass;
}

void Session::add_attention_mass() {
  const Stopwatch stopwatch(step_->score_us);
  numerators_.add_mass_to(layers_[static_cast<size_t>(step_->layer)].attention_mass.data());
}

}  // namespace octavo
