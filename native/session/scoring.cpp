// What a policy's scores are made of, measured where the cache is and only for policies that ask. Blocks are
// scored as the newest becomes full, tokens as the cache passes its budget.
#include <algorithm>
#include <cmath>
#include <utility>

#include "core/check.h"
#include "evict/token_score.h"
#include "ops/attention_mass.h"
#include "ops/attention_pattern.h"
#include "ops/key_distinctness.h"
#include "ops/kv_norms.h"
#include "session/session.h"
#include "session/stopwatch.h"

namespace octavo {

int Session::num_choosers() const {
  return policy_->heads() == Heads::kPerHead ? model_config().num_kv_heads : 1;
}

bool Session::keeps_slot_values(int layer) const {
  const bool scores_each = policy_->evidence() == Evidence::kNorms && policy_->unit() == EvictionUnit::kToken;
  return sums_attention(layer) || (scores_each && scores_layer(layer));
}

bool Session::sums_prompt_attention() const {
  return scores_layer(step_->layer) &&
         (scores_by_attention(policy_->evidence()) || policy_->sums_attention());
}

// What the slice's queries give to the prompt up to them, of those that count.
void Session::sum_prompt_attention() {
  Step& step = *step_;
  if (!sums_prompt_attention()) return;
  const Stopwatch stopwatch(step.score_us);
  const LlamaConfig& config = model_config();
  const int64_t num_tokens = num_fed();
  if (step.slice_first == 0)
    step.attention_sums.assign(static_cast<size_t>(num_tokens) * config.num_query_heads, 0.0);
  const int64_t num_counted = policy_->evidence() == Evidence::kCaller
                                  ? num_tokens
                                  : policy_[step.layer].num_prompt_queries(num_tokens);
  const int64_t end = step.slice_first + slice_size();
  const int64_t first = std::max(step.slice_first, num_tokens - num_counted);
  if (first >= end) return;
  const int64_t query_row = int64_t{config.num_query_heads} * config.head_dim;
  add_prompt_attention_mass_cpu(config.num_query_heads, config.num_kv_heads, config.head_dim,
                                activations_.query.data() + (first - step.slice_first) * query_row,
                                activations_.key.data(), first, end - first, attention_scale(config),
                                num_tokens, step.attention_sums.data());
}

// The mean over the query heads of some KV heads.
std::vector<float> Session::prompt_mass_of(int first_kv_head, int num_kv_heads) const {
  const int group_size = model_config().num_query_heads / model_config().num_kv_heads;
  std::vector<float> mass(static_cast<size_t>(num_fed()));
  mean_attention_mass(step_->attention_sums.data() + int64_t{first_kv_head} * group_size * num_fed(),
                      num_kv_heads * group_size, num_fed(), mass.data());
  return mass;
}

// The prompt's tokens, [num_choosers, num_tokens]; none for a policy without evidence.
void Session::score_prompt() {
  Step& step = *step_;
  step.token_scores.clear();
  step.token_mass.clear();
  if (!scores_layer(step.layer)) return;
  const Stopwatch stopwatch(step.score_us);
  const int heads_each = model_config().num_kv_heads / num_choosers();
  for (int head = 0; head < model_config().num_kv_heads; head += heads_each) {
    const std::vector<float> scores = score_prompt_of(head, heads_each);
    step.token_scores.insert(step.token_scores.end(), scores.begin(), scores.end());
  }
}

// One score a token, from all KV heads or from one of them.
std::vector<float> Session::score_prompt_of(int first_kv_head, int num_kv_heads) {
  Step& step = *step_;
  const LlamaConfig& config = model_config();
  const auto num_tokens = static_cast<int64_t>(step.tokens.size());
  const bool is_part = num_kv_heads < config.num_kv_heads;
  const auto part = [&](const std::vector<float>& all, int first_head, int num_heads) {
    const int num_all = static_cast<int>(all.size() / step.tokens.size()) / config.head_dim;
    std::vector<float> rows;
    rows.reserve(step.tokens.size() * static_cast<size_t>(num_heads) * static_cast<size_t>(config.head_dim));
    for (int64_t token = 0; token < num_tokens; ++token) {
      const auto first = all.begin() + (token * num_all + first_head) * config.head_dim;
      rows.insert(rows.end(), first, first + int64_t{num_heads} * config.head_dim);
    }
    return rows;
  };
  std::vector<float> part_of_keys, part_of_values;
  const float* keys = activations_.key.data();
  if (is_part && (policy_->evidence() == Evidence::kNorms || policy_->evidence() == Evidence::kKeys)) {
    part_of_keys = part(activations_.key, first_kv_head, 1);
    keys = part_of_keys.data();
  }
  std::vector<float> scores;
  switch (policy_->evidence()) {
    case Evidence::kNone:
      break;
    case Evidence::kCaller:
      if (policy_->sums_attention()) step.token_mass = prompt_mass_of(first_kv_head, num_kv_heads);
      break;
    case Evidence::kNorms:
      if (is_part) part_of_values = part(activations_.value, first_kv_head, 1);
      scores = norm_scores(keys, is_part ? part_of_values.data() : activations_.value.data(), num_kv_heads,
                           num_tokens, layers_[static_cast<size_t>(step.layer)].num_nan_scores);
      break;
    case Evidence::kKeys: {
      std::vector<const float*> rows;
      for (int64_t row = 0; row < num_tokens * num_kv_heads; ++row)
        rows.push_back(keys + row * config.head_dim);
      scores.resize(static_cast<size_t>(num_tokens));
      key_distinctness_cpu(rows.data(), num_tokens, num_kv_heads, config.head_dim, scores.data());
      break;
    }
    case Evidence::kLastQuery:
    case Evidence::kAttentionMass:
    case Evidence::kPromptQueries:
      scores = prompt_mass_of(first_kv_head, num_kv_heads);
      if (policy_->evidence() == Evidence::kAttentionMass)
        step.token_mass.insert(step.token_mass.end(), scores.begin(), scores.end());
      for (int64_t token = 0; policy_->divides_mass() && token < num_tokens; ++token)
        scores[static_cast<size_t>(token)] /= static_cast<float>(num_tokens - token);
      scores = policy_[step.layer].score_prompt(std::move(scores));
      break;
  }
  return scores;
}

// Of tokens with contiguous rows of heads: keys and values are [num_tokens, num_kv_heads, head_dim].
std::vector<float> Session::norm_scores(const float* keys, const float* values, int num_kv_heads,
                                        int64_t num_tokens, int32_t& num_nan) const {
  const int64_t num_rows = num_tokens * num_kv_heads;
  std::vector<float> norms(static_cast<size_t>(2 * num_rows));
  kv_norms_cpu(keys, values, num_tokens, num_kv_heads, model_config().head_dim, norms.data(),
               norms.data() + num_rows);
  TokenScores scored = policy_->score_tokens({.key = norms.data(),
                                              .value = norms.data() + num_rows,
                                              .num_tokens = num_tokens,
                                              .num_kv_heads = num_kv_heads,
                                              .token_stride = num_kv_heads,
                                              .head_stride = 1});
  num_nan += scored.num_nan;
  return std::move(scored.values);
}

// The values that a policy keeps of the token just cached: 0 of attention, a score by norms.
void Session::note_cached_token(Layer& layer) {
  if (!keeps_slot_values(step_->layer)) return;
  const int num_rows = num_choosers();
  if (policy_->sums_attention()) {
    layer.slot_values.insert(layer.slot_values.end(), static_cast<size_t>(num_rows), 0.0F);
    return;
  }
  const Stopwatch stopwatch(step_->score_us);
  const int heads_each = model_config().num_kv_heads / num_rows;
  for (int row = 0; row < num_rows; ++row) {
    const int64_t at = int64_t{row} * model_config().head_dim;
    layer.slot_values.push_back(norm_scores(activations_.key.data() + at, activations_.value.data() + at,
                                            heads_each, 1, layer.num_nan_scores)
                                    .front());
  }
}

// Of all live slots, from what the cache holds.
void Session::score_slots_by_norms(Layer& layer) {
  const KvCache& cache = layer.cache;
  const int num_rows = num_choosers();
  const int heads_each = model_config().num_kv_heads / num_rows;
  const auto head_dim = static_cast<size_t>(model_config().head_dim);
  layer.slot_values.assign(static_cast<size_t>(cache.table().num_slots() * num_rows), 0.0F);
  for (int64_t slot = 0; slot < cache.table().num_slots(); ++slot) {
    if (cache.table().is_dead(slot)) continue;
    for (int row = 0; row < num_rows; ++row) {
      std::vector<float> keys(static_cast<size_t>(heads_each) * head_dim), values(keys.size());
      for (int head = 0; head < heads_each; ++head) {
        cache.read_key(slot, row * heads_each + head, keys.data() + static_cast<size_t>(head) * head_dim);
        cache.read_value(slot, row * heads_each + head, values.data() + static_cast<size_t>(head) * head_dim);
      }
      layer.slot_values[static_cast<size_t>(slot * num_rows + row)] =
          norm_scores(keys.data(), values.data(), heads_each, 1, layer.num_nan_scores).front();
    }
  }
}

// Of all slots, [num_slots, num_choosers]; none where the policy asks for no scores of them.
void Session::score_slots(const Layer& layer, std::vector<float>& to) {
  const BlockTable& table = layer.cache.table();
  switch (policy_->evidence()) {
    case Evidence::kNone:
    case Evidence::kPromptQueries:
    case Evidence::kCaller:
      to.clear();
      break;
    case Evidence::kNorms:
      to = layer.slot_values;
      break;
    case Evidence::kKeys:
      to = distinctness_of_live_keys(layer.cache, table.num_slots());
      break;
    case Evidence::kLastQuery:
      logits_of_newest_.mass(attention_scale(model_config()), num_choosers(), table.dead_slots(), to);
      break;
    case Evidence::kAttentionMass:
      scores_of_mass(layer, to);
      break;
  }
}

void Session::score_cached_tokens() {
  Step& step = *step_;
  const bool by_all_layers = means_over_layers();
  if (!scores_layer(step.layer) || by_all_layers) step.token_scores.clear();
  if (!scores_layer(step.layer)) return;
  multiply_newest_query();
  const Stopwatch stopwatch(step.score_us);
  if (by_all_layers) return score_tokens_of_layers();
  score_slots(layers_[static_cast<size_t>(step.layer)], step.token_scores);
}

void Session::score_blocks() {
  Step& step = *step_;
  if (!scores_layer(step.layer)) return;
  multiply_newest_query();
  const Stopwatch stopwatch(step.score_us);
  Layer& layer = layers_[static_cast<size_t>(step.layer)];
  if (means_over_layers()) return score_layers();
  if (policy_->evidence() == Evidence::kNorms) {  // of the others nothing changed
    return score_block(step.layer, layer.cache.table().num_blocks() - 1);
  }
  std::vector<float> scores;
  score_slots(layer, scores);
  set_block_scores(layer, scores);
}

// The mean over the live tokens of a block; holes are not read.
void Session::score_block(int layer_index, int logical_index) {
  Layer& layer = layers_[static_cast<size_t>(layer_index)];
  KvCache& cache = layer.cache;
  const int64_t first = int64_t{logical_index} * config_.block_size;
  const auto head_dim = static_cast<size_t>(cache.shape().head_dim);
  std::vector<float> keys, values;
  for (int64_t slot = first; slot < first + cache.table().filled(logical_index); ++slot) {
    if (cache.table().is_dead(slot)) continue;
    for (int head = 0; head < cache.shape().num_kv_heads; ++head) {
      keys.resize(keys.size() + head_dim);
      values.resize(keys.size());
      cache.read_key(slot, head, keys.data() + keys.size() - head_dim);
      cache.read_value(slot, head, values.data() + values.size() - head_dim);
    }
  }
  const int num_live = cache.table().num_live(logical_index);
  const std::vector<float> scores =
      norm_scores(keys.data(), values.data(), cache.shape().num_kv_heads, num_live, layer.num_nan_scores);
  cache.set_score(logical_index, block_score(scores.data(), num_live));
}

// token_scores: [num_slots, num_choosers], of whole blocks that are scored and part of one that is not.
void Session::set_block_scores(Layer& layer, const std::vector<float>& token_scores) {
  const BlockTable& table = layer.cache.table();
  const auto num_rows = static_cast<size_t>(num_choosers());
  std::vector<float> scores;
  const auto num_full = static_cast<int>(token_scores.size() / num_rows) / config_.block_size;
  for (int block = 0; block < num_full; ++block) {
    scores.clear();
    const int64_t first = int64_t{block} * config_.block_size;
    for (int64_t slot = first; slot < first + config_.block_size; ++slot) {
      if (table.is_dead(slot)) continue;
      float sum = 0;
      for (size_t row = 0; row < num_rows; ++row)
        sum += token_scores[static_cast<size_t>(slot) * num_rows + row];
      scores.push_back(sum / static_cast<float>(num_rows));
    }
    layer.cache.set_score(block, block_score(scores.data(), static_cast<int>(scores.size())));
  }
}

// Among the first num_slots: [num_slots, num_choosers], 0 in holes.
std::vector<float> Session::distinctness_of_live_keys(const KvCache& cache, int64_t num_slots) const {
  const int num_rows = num_choosers();
  const int heads_each = cache.shape().num_kv_heads / num_rows;
  std::vector<float> scores(static_cast<size_t>(num_slots * num_rows)),
      of_row(static_cast<size_t>(num_slots));
  for (int row = 0; row < num_rows; ++row) {
    paged_key_distinctness_cpu(attention_shape(cache), cache.keys().data, cache.table().block_ids().data(),
                               num_slots, cache.table().dead_slots(), row * heads_each, heads_each,
                               of_row.data());
    for (int64_t slot = 0; slot < num_slots; ++slot)
      scores[static_cast<size_t>(slot * num_rows + row)] = of_row[static_cast<size_t>(slot)];
  }
  return scores;
}

// What a query gives each of the first num_slots: [num_slots, num_choosers], 0 in holes.
std::vector<float> Session::attention_mass_of(const KvCache& cache,
                                              const float* query,  // [num_query_heads, head_dim]
                                              int64_t num_slots) const {
  PagedLogits logits;
  std::vector<float> mass;
  multiply_keys(cache, query, num_slots, logits);
  logits.mass(attention_scale(model_config()), num_choosers(), cache.table().dead_slots(), mass);
  return mass;
}

void Session::multiply_keys(const KvCache& cache, const float* query, int64_t num_slots,
                            PagedLogits& logits) const {
  const BlockTable& table = cache.table();
  logits.multiply(attention_shape(cache), query, cache.keys().data, table.block_ids().data(), num_slots,
                  table.dead_slots());
}

// For a policy that scores by the step's own query. The products are attention's own, made before it: they
// stay for it, and their time is its.
void Session::multiply_newest_query() {
  if (policy_->evidence() != Evidence::kLastQuery || means_over_layers()) return;
  const Stopwatch stopwatch(step_->attention_us);
  const KvCache& cache = layers_[static_cast<size_t>(step_->layer)].cache;
  multiply_keys(cache, activations_.query.data(), cache.table().num_slots(), logits_of_newest_);
}

// Over the live ones of the first num_slots: [num_query_heads, live slots].
std::vector<float> Session::pattern_of(const KvCache& cache, const float* query, int64_t num_slots) const {
  const LlamaConfig& config = model_config();
  const BlockTable& table = cache.table();
  int64_t num_live = num_slots;
  for (int64_t slot = 0; table.has_holes() && slot < num_slots; ++slot)
    num_live -= table.is_dead(slot) ? 1 : 0;
  std::vector<float> probabilities(static_cast<size_t>(config.num_query_heads * num_live));
  attention_pattern_cpu(attention_shape(cache), query, cache.keys().data, table.block_ids().data(), num_slots,
                        attention_scale(config), probabilities.data(), table.dead_slots());
  return probabilities;
}

// Of each slot, from what queries before this step's gave it: [num_slots, num_choosers].
void Session::scores_of_mass(const Layer& layer, std::vector<float>& to) const {
  to = layer.slot_values;
  if (!policy_->divides_mass()) return;
  const BlockTable& table = layer.cache.table();
  const int num_rows = num_choosers();
  for (int64_t slot = 0; slot < table.num_slots(); ++slot) {
    if (table.is_dead(slot)) continue;
    for (int row = 0; row < num_rows; ++row) {
      const int64_t first = std::max<int64_t>(attention_since_, layer.cache.slot_position(slot, row));
      const int64_t num_queries = std::max<int64_t>(1, step_->first_position - first);
      to[static_cast<size_t>(slot * num_rows + row)] /= static_cast<float>(num_queries);
    }
  }
}

// From the numerators that attention left.
void Session::add_attention_mass() {
  const Stopwatch stopwatch(step_->score_us);
  Layer& layer = layers_[static_cast<size_t>(step_->layer)];
  numerators_.add_mass_to(layer.slot_values.data(), num_choosers(), layer.cache.table().dead_slots());
}

}  // namespace octavo
