// A long prompt of which every token stays runs through all layers part by part, each attending to those
// before it in the cache. Policies that score a prompt, or cut it, need a layer's keys and values all at
// once: of all layers at once they would take what the cut is to save, so those go layer by layer.
#include <algorithm>

#include "ops/causal_attention.h"
#include "session/session.h"
#include "session/stopwatch.h"

namespace octavo {

// Whether no layer drops or scores any token of so long a prompt.
bool Session::keeps_whole(int64_t num_tokens) const {
  if (policy_->evidence() != Evidence::kNone) return false;
  const LlamaConfig& config = model_config();
  for (int layer = 0; layer < config.num_layers; ++layer) {
    if (policy_->evicts_in(layer) && policy_[layer].prompt_tokens_kept(num_tokens) < num_tokens) return false;
  }
  return true;
}

// A layer of the part under way.
std::optional<Event> Session::prefill_part(const StopConditions& stop) {
  Step& step = *step_;
  const bool is_last_layer = step.layer + 1 == model_config().num_layers;
  if (step.stage == Stage::kProject) project();
  if (step.stage == Stage::kProjected) {
    if (std::optional<NanEvent> event = require_finite(stop)) return event;
    page_part();
    // Nothing reads the last layer's output but the logits of the last token.
    step.stage = is_last_layer && !is_last_part() ? Stage::kLayerEnd : Stage::kFinish;
  }
  if (step.stage == Stage::kFinish) {
    attend_part();
    step.stage = Stage::kAttended;
  }
  if (step.stage == Stage::kAttended) finish_layer(first_needed_of(num_fed()));
  return end_layer(stop);
}

void Session::page_part() {
  KvCache& cache = layers_[static_cast<size_t>(step_->layer)].cache;
  const int64_t row = int64_t{model_config().num_kv_heads} * model_config().head_dim;
  for (int64_t token = 0; token < num_fed(); ++token) {
    cache.append(activations_.key.data() + token * row, activations_.value.data() + token * row,
                 activations_.positions[static_cast<size_t>(token)]);
  }
}

void Session::attend_part() {
  Step& step = *step_;
  const Stopwatch stopwatch(step.attention_us);
  const LlamaConfig& config = model_config();
  const KvCache& cache = layers_[static_cast<size_t>(step.layer)].cache;
  const int64_t first = first_needed_of(num_fed());
  const int64_t at = first * config.num_query_heads * config.head_dim;
  causal_attention_over_cached_cpu(
      config.num_query_heads, config.num_kv_heads, config.head_dim, activations_.query.data() + at,
      {.key_cache = cache.keys().data,
       .value_cache = cache.values().data,
       .dtype = cache.shape().dtype,
       .block_table = cache.table().block_ids().data(),
       .block_size = config_.block_size},
      step.part_first + first, num_fed() - first, attention_scale(config), attention_rows() + at);
}

bool Session::is_last_part() const {
  return !step_->in_parts || step_->part_first + num_fed() == static_cast<int64_t>(step_->tokens.size());
}

void Session::begin_next_part() {
  Step& step = *step_;
  step.part_first += num_fed();
  step.layer = 0;
  const auto num_left = static_cast<int64_t>(step.tokens.size()) - step.part_first;
  size_activations(step.first_position + step.part_first, std::min(num_left, kTokensPerPart));
}

}  // namespace octavo
