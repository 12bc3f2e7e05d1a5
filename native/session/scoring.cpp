// What a policy's scores are made of, measured where the cache is and only for policies that ask. Blocks are
// scored as the newest becomes full, so all of them are full then.
#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "evict/token_score.h"
#include "ops/attention_mass.h"
#include "ops/key_distinctness.h"
#include "ops/kv_norms.h"
#include "session/session.h"
#include "session/stopwatch.h"

namespace octavo {

// The prompt's tokens; none for a policy without evidence.
void Session::score_prompt() {
  Step& step = *step_;
  step.token_scores.clear();
  step.token_mass.clear();
  if (!scores_layer(step.layer)) return;
  const Stopwatch stopwatch(step.score_us);
  const LlamaConfig& config = model_config();
  const auto num_tokens = static_cast<int64_t>(step.tokens.size());
  std::vector<float>& scores = step.token_scores;
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
      if (policy_->evidence() == Evidence::kAttentionMass) step.token_mass = scores;
      for (int64_t token = 0; token < num_tokens; ++token) {
        float& score = scores[static_cast<size_t>(token)];
        score = policy_->score_mass(score, num_tokens - token);
      }
      scores = policy_->score_prompt(std::move(scores));
      break;
  }
}

void Session::score_blocks() {
  Step& step = *step_;
  const Stopwatch stopwatch(step.score_us);
  Layer& layer = layers_[static_cast<size_t>(step.layer)];
  if (!scores_layer(step.layer)) return;
  if (means_over_layers()) return score_layers();
  switch (policy_->evidence()) {
    case Evidence::kNone:
    case Evidence::kPromptQueries:
    case Evidence::kCaller:
      break;
    case Evidence::kNorms:
      score_block(step.layer, layer.cache.table().num_blocks() - 1);
      break;
    case Evidence::kKeys:
      set_block_scores(layer, distinctness_of_live_keys(layer.cache, layer.cache.table().kv_len()));
      break;
    case Evidence::kLastQuery:
      set_block_scores(
          layer, attention_mass_of(layer.cache, activations_.query.data(), layer.cache.table().kv_len()));
      break;
    case Evidence::kAttentionMass:
      set_block_scores(layer, scores_of_mass(layer));
      break;
  }
}

std::optional<ScoreEvent> Session::ask_for_scores() const {
  if (shares_choices() && step_->layer > 0) return std::nullopt;
  std::vector<int32_t> candidates = policy_->blocks_to_score(table_view());
  if (candidates.empty()) return std::nullopt;
  const int layer = std::max(step_->layer, step_->scored_layer);
  return ScoreEvent{.step_index = step_->index, .layer = layer, .candidates = std::move(candidates)};
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
  KvCache& cache = layers_[static_cast<size_t>(std::max(step_->layer, step_->scored_layer))].cache;
  for (size_t i = 0; i < scores.size(); ++i) cache.set_score(blocks[i], scores[i]);
  if (means_over_layers() && ++step_->scored_layer < model_config().num_layers) return;
  step_->scored_layer = 0;
  if (means_over_layers()) gather_layer_scores();
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
  const auto num_full = static_cast<int>(token_scores.size()) / config_.block_size;
  for (int block = 0; block < num_full; ++block) {
    const float* scores = token_scores.data() + int64_t{block} * config_.block_size;
    layer.cache.set_score(block, block_score(scores, config_.block_size));
  }
}

// Among the first num_slots.
std::vector<float> Session::distinctness_of_live_keys(const KvCache& cache, int64_t num_slots) const {
  const KvCacheShape& shape = cache.shape();
  std::vector<const float*> keys;
  keys.reserve(static_cast<size_t>(num_slots * shape.num_kv_heads));
  for (int64_t slot = 0; slot < num_slots; ++slot) {
    const float* block = cache.block_keys(cache.table().block_id(static_cast<int>(slot / shape.block_size)));
    for (int64_t head = 0; head < shape.num_kv_heads; ++head)
      keys.push_back(block + (head * shape.block_size + slot % shape.block_size) * shape.head_dim);
  }
  std::vector<float> scores(static_cast<size_t>(num_slots));
  key_distinctness_cpu(keys.data(), num_slots, shape.num_kv_heads, shape.head_dim, scores.data());
  return scores;
}

// What a query gives each of the first num_slots.
std::vector<float> Session::attention_mass_of(const KvCache& cache,
                                              const float* query,  // [num_query_heads, head_dim]
                                              int64_t num_slots) const {
  const LlamaConfig& config = model_config();
  std::vector<float> mass(static_cast<size_t>(num_slots));
  paged_attention_mass_cpu({.num_query_heads = config.num_query_heads,
                            .num_kv_heads = config.num_kv_heads,
                            .head_dim = config.head_dim,
                            .block_size = config_.block_size},
                           query, cache.keys().f32(), cache.table().block_ids().data(), num_slots,
                           attention_scale(config), mass.data());
  return mass;
}

// Of each slot, from what queries before this step's gave it.
std::vector<float> Session::scores_of_mass(const Layer& layer) const {
  std::vector<float> scores = layer.attention_mass;
  size_t slot = 0;
  for (int block = 0; block < layer.cache.table().num_blocks(); ++block) {
    for (const int32_t position : layer.cache.live_positions(block)) {
      const int64_t first = std::max<int64_t>(attention_since_, position);
      const int64_t num_queries = std::max<int64_t>(1, step_->first_position - first);
      scores[slot] = policy_->score_mass(scores[slot], num_queries);
      ++slot;
    }
  }
  return scores;
}

void Session::add_attention_mass() {
  const Stopwatch stopwatch(step_->score_us);
  numerators_.add_mass_to(layers_[static_cast<size_t>(step_->layer)].attention_mass.data());
}

}  // namespace octavo
