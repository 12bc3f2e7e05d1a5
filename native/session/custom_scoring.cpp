// Scores that the session's caller gives. A question comes again until it is answered; an answer that is
// refused changes nothing.
#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "ops/kv_norms.h"
#include "session/session.h"

namespace octavo {

// In decode, where layers share a decision by a mean, layer 0 asks for the scores of all.
int Session::layer_asked_for() const { return std::max(step_->layer, step_->scored_layer); }

std::optional<ScoreEvent> Session::ask_for_scores() const {
  const Step& step = *step_;
  if (policy_->evidence() != Evidence::kCaller) return std::nullopt;
  ScoreEvent event{.step_index = step.index,
                   .layer = layer_asked_for(),
                   .phase = step.phase,
                   .granularity = Granularity::kBlock,
                   .candidates = {}};
  if (step.phase == Phase::kPrefill) {
    const auto num_tokens = static_cast<int32_t>(step.tokens.size());
    if (!scores_layer(step.layer) || policy_[step.layer].prompt_tokens_kept(num_tokens) == num_tokens)
      return std::nullopt;
    for (int32_t position = 0; position < num_tokens; ++position) event.candidates.push_back(position);
    event.granularity = Granularity::kToken;
    return event;
  }
  if (shares_choices() && step.layer > 0) return std::nullopt;
  if (policy_->unit() == EvictionUnit::kToken) {
    const KvCache& cache = layers_[static_cast<size_t>(step.layer)].cache;
    for (int64_t slot = 0; slot < cache.table().num_slots(); ++slot)
      if (!cache.table().is_dead(slot)) event.candidates.push_back(cache.slot_position(slot));
    event.granularity = Granularity::kToken;
    return event;
  }
  event.candidates = policy_[step.layer].blocks_to_score(table_view());
  if (event.candidates.empty()) return std::nullopt;
  return event;
}

void Session::take_scores(const std::vector<float>& scores) {
  const std::optional<ScoreEvent> asked =
      step_ && step_->stage == Stage::kScore ? ask_for_scores() : std::nullopt;
  if (!asked) {
    throw Error("ERR_OCTAVO_ARGUMENT", "Expected a session that stopped for scores but this one did not");
  }
  const std::vector<int32_t>& candidates = asked->candidates;
  if (scores.size() != candidates.size()) {
    throw Error("ERR_OCTAVO_ARGUMENT", "Expected " + std::to_string(candidates.size()) +
                                           " scores, one of each candidate, but received " +
                                           std::to_string(scores.size()));
  }
  const bool by_token = asked->granularity == Granularity::kToken;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i])) {
      throw Error("ERR_OCTAVO_POLICY", std::string("Expected a number as score of the ") +
                                           (by_token ? "token at position " : "block ") +
                                           std::to_string(candidates[i]) + " but received NaN");
    }
  }
  Step& step = *step_;
  KvCache& cache = layers_[static_cast<size_t>(asked->layer)].cache;
  step.stage = Stage::kChoose;
  if (step.phase == Phase::kPrefill) {
    step.token_scores = scores;
  } else if (by_token) {
    step.token_scores.assign(static_cast<size_t>(cache.table().num_slots()), 0.0F);
    auto next = scores.begin();
    for (int64_t slot = 0; slot < cache.table().num_slots(); ++slot)
      if (!cache.table().is_dead(slot)) step.token_scores[static_cast<size_t>(slot)] = *next++;
  } else {
    for (size_t i = 0; i < scores.size(); ++i) cache.set_score(candidates[i], scores[i]);
    if (!means_over_layers()) return;
    if (++step.scored_layer < model_config().num_layers) {
      step.stage = Stage::kScore;
      return;
    }
    step.scored_layer = 0;
    gather_layer_scores();
  }
}

ScoringInputs Session::scoring_inputs(const ScoringNeeds& needs) const {
  if (!step_ || step_->stage != Stage::kScore || !ask_for_scores()) {
    throw Error("ERR_OCTAVO_ARGUMENT", "Expected a session that stopped for scores but this one did not");
  }
  if (needs.attention_mass && !policy_->sums_attention()) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected a policy whose needs name attentionMass but this one's do not");
  }
  const LlamaConfig& config = model_config();
  const int num_heads = config.num_kv_heads, head_dim = config.head_dim;
  const auto index = static_cast<size_t>(layer_asked_for());
  ScoringInputs inputs{.num_kv_heads = num_heads,
                       .head_dim = head_dim,
                       .slots = {},
                       .keys = {},
                       .values = {},
                       .key_norms = {},
                       .value_norms = {},
                       .attention_mass = {},
                       .last_query = {}};
  const auto norms = [&](const float* key, const float* value, size_t num_rows, size_t at) {
    kv_norms_cpu(key, value, static_cast<int64_t>(num_rows), 1, head_dim, inputs.key_norms.data() + at,
                 inputs.value_norms.data() + at);
  };
  if (step_->phase == Phase::kPrefill) {
    const size_t num_rows = step_->tokens.size() * static_cast<size_t>(num_heads);
    if (needs.vectors) inputs.keys = activations_.key, inputs.values = activations_.value;
    if (needs.norms) {
      inputs.key_norms.resize(num_rows);
      inputs.value_norms.resize(num_rows);
      norms(activations_.key.data(), activations_.value.data(), num_rows, 0);
    }
    if (needs.attention_mass) inputs.attention_mass = step_->token_mass;
  } else {
    const Layer& layer = layers_[index];
    const BlockTable& table = layer.cache.table();
    const int64_t block_size = table.block_size();
    std::vector<float> key(static_cast<size_t>(head_dim)), value(key);
    for (int64_t slot = 0; slot < table.num_slots(); ++slot) {
      if (table.is_dead(slot)) continue;
      const int32_t block_id = table.block_id(static_cast<int>(slot / block_size));
      inputs.slots.push_back(static_cast<int32_t>(block_id * block_size + slot % block_size));
      if (needs.attention_mass) inputs.attention_mass.push_back(layer.slot_values[static_cast<size_t>(slot)]);
      if (!needs.norms) continue;
      const size_t first = inputs.key_norms.size();
      inputs.key_norms.resize(first + static_cast<size_t>(num_heads));
      inputs.value_norms.resize(first + static_cast<size_t>(num_heads));
      for (int head = 0; head < num_heads; ++head) {
        layer.cache.read_key(slot, head, key.data());
        layer.cache.read_value(slot, head, value.data());
        norms(key.data(), value.data(), 1, first + static_cast<size_t>(head));
      }
    }
  }
  if (needs.last_query) {
    const std::vector<float>& queries =
        means_over_layers() && step_->phase == Phase::kDecode ? last_queries_ : next_queries_;
    const auto size = static_cast<int64_t>(config.num_query_heads) * head_dim;
    const auto first = queries.begin() + static_cast<int64_t>(index) * size;
    inputs.last_query.assign(first, first + size);
  }
  return inputs;
}

}  // namespace octavo
