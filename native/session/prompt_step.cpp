// What becomes of a prompt in a layer: it attends, in full or over what stays of it, its tokens are chosen,
// and those that stay are paged.
#include <algorithm>
#include <utility>

#include "ops/causal_attention.h"
#include "session/session.h"
#include "session/stopwatch.h"

namespace octavo {

namespace {

// The tokens of a prompt that stay; dropped: ascending.
std::vector<int32_t> kept_tokens(int64_t num_tokens, const std::vector<int32_t>& dropped) {
  std::vector<int32_t> kept;
  auto next_dropped = dropped.begin();
  for (int32_t token = 0; token < num_tokens; ++token) {
    if (next_dropped != dropped.end() && *next_dropped == token) {
      ++next_dropped;
    } else {
      kept.push_back(token);
    }
  }
  return kept;
}

}  // namespace

void Session::choose_tokens() {
  Step& step = *step_;
  step.choices.clear();
  step.next_choice = 0;
  if (!policy_->evicts_in(step.layer)) return;
  const Stopwatch stopwatch(step.evict_us);
  if (shares_choices()) {
    choose_shared_tokens();
  } else {
    choose_tokens_here();
  }
}

void Session::choose_tokens_here() {
  Step& step = *step_;
  for (int chooser = 0; chooser < num_choosers(); ++chooser) {
    const float* scores = step.token_scores.empty()
                              ? nullptr
                              : step.token_scores.data() + static_cast<size_t>(chooser) * step.tokens.size();
    const std::optional<int> kv_head = num_choosers() == 1 ? std::nullopt : std::optional<int>(chooser);
    std::optional<Choice> choice = policy_[step.layer].choose_tokens(prompt_view(scores, kv_head));
    if (choice) step.choices.push_back({.choice = *std::move(choice)});
  }
}

PromptView Session::prompt_view(const float* scores, std::optional<int> kv_head) const {
  return {.layer = step_->layer,
          .step_index = step_->index,
          .kv_head = kv_head,
          .num_tokens = static_cast<int64_t>(step_->tokens.size()),
          .scores = scores};
}

float* Session::attention_rows() {
  return (step_->phase == Phase::kPrefill ? activations_.query : activations_.attention).data();
}

// Nothing reads the last layer's output but the logits of the last token.
bool Session::needs_output_of_slice() const {
  const bool is_last_layer = step_->layer + 1 == model_config().num_layers;
  return !is_last_layer || step_->slice_first + slice_size() == num_fed();
}

// The first token, of so many under way, whose output somebody reads.
int64_t Session::first_needed_of(int64_t num_tokens) const {
  const bool is_last_layer = step_->layer + 1 == model_config().num_layers;
  return is_last_layer ? num_tokens - 1 : 0;
}

// A slice over the prompt up to itself.
void Session::attend_prompt() {
  if (!needs_output_of_slice()) return;
  Step& step = *step_;
  const Stopwatch stopwatch(step.attention_us);
  const LlamaConfig& config = model_config();
  const int64_t first = first_needed_of(slice_size());
  const int64_t at = first * config.num_query_heads * config.head_dim;
  causal_attention_cpu(config.num_query_heads, config.num_kv_heads, config.head_dim,
                       activations_.query.data() + at, activations_.key.data(), activations_.value.data(),
                       slice_size() - first, attention_scale(config), attention_rows() + at,
                       step.slice_first + first);
}

// All slices over what the choice leaves of the prompt. Where there are several, each one's queries are made
// again: kept of all, they would take as much as the hidden states.
void Session::attend_cut_prompt() {
  Step& step = *step_;
  const LlamaConfig& config = model_config();
  const std::vector<int32_t> none;
  const std::vector<int32_t> positions =
      kept_tokens(num_fed(), step.choices.empty() ? none : step.choices.front().choice.dropped);
  const size_t row = static_cast<size_t>(config.num_kv_heads) * config.head_dim;
  std::vector<float> key, value;
  if (!step.choices.empty()) {
    key.reserve(positions.size() * row);
    value.reserve(positions.size() * row);
    for (const int32_t token : positions) {
      const size_t first = static_cast<size_t>(token) * row;
      key.insert(key.end(), &activations_.key[first], &activations_.key[first] + row);
      value.insert(value.end(), &activations_.value[first], &activations_.value[first] + row);
    }
  }
  do {
    if (!needs_output_of_slice()) continue;
    if (slice_size() < num_fed()) {
      model_->project_query(step.layer, activations_.hidden.data() + step.slice_first * config.hidden_size,
                            activations_.positions.data() + step.slice_first, slice_size(), workspace_,
                            activations_.query.data());
    }
    if (step.choices.empty()) {
      attend_prompt();
    } else {
      const Stopwatch stopwatch(step.attention_us);
      causal_attention_over_kept_cpu(
          config.num_query_heads, config.num_kv_heads, config.head_dim, activations_.query.data(),
          {.key = key.data(),
           .value = value.data(),
           .positions = positions.data(),
           .num_kept = static_cast<int64_t>(positions.size())},
          slice_size(), attention_scale(config), attention_rows(), step.slice_first);
    }
    finish_slice();
  } while (begin_next_slice());
}

// The rest of the layer.
void Session::finish_slice() {
  if (!needs_output_of_slice()) return;
  const Step& step = *step_;
  const LlamaConfig& config = model_config();
  const int64_t first = first_needed_of(slice_size());
  model_->finish_layer(step.layer,
                       attention_rows() + first * int64_t{config.num_query_heads} * config.head_dim,
                       slice_size() - first, workspace_,
                       activations_.hidden.data() + (step.slice_first + first) * config.hidden_size);
}

// Survivors go into blocks in order of position, so that no block has holes, and each head's by themselves;
// each block that this fills is scored.
void Session::page_prompt() {
  Step& step = *step_;
  Layer& layer = layers_[static_cast<size_t>(step.layer)];
  const auto num_tokens = static_cast<int64_t>(step.tokens.size());
  std::vector<std::vector<int32_t>> kept(static_cast<size_t>(num_choosers()));
  for (size_t chooser = 0; chooser < kept.size(); ++chooser) {
    const std::vector<int32_t> none;
    kept[chooser] =
        kept_tokens(num_tokens, step.choices.empty() ? none : step.choices[chooser].choice.dropped);
  }
  const std::vector<float>& values = step.token_mass.empty() ? step.token_scores : step.token_mass;
  std::vector<int32_t> tokens(kept.size());
  float block_sum = 0;
  for (size_t slot = 0; slot < kept.front().size(); ++slot) {
    for (size_t chooser = 0; chooser < kept.size(); ++chooser) tokens[chooser] = kept[chooser][slot];
    page_token(tokens);
    float score = 0;
    for (size_t chooser = 0; chooser < kept.size(); ++chooser) {
      const size_t at = chooser * step.tokens.size() + static_cast<size_t>(tokens[chooser]);
      if (keeps_slot_values(step.layer)) layer.slot_values.push_back(values[at]);
      if (!step.token_scores.empty()) score += step.token_scores[at];
    }
    if (step.token_scores.empty()) continue;
    block_sum += score / static_cast<float>(kept.size());
    if (!layer.cache.table().is_full()) continue;
    layer.cache.set_score(layer.cache.table().num_blocks() - 1,
                          block_sum / static_cast<float>(config_.block_size));
    block_sum = 0;
  }
  for (size_t index = 0; index < step.choices.size(); ++index) {
    step.prompt_tokens_dropped =
        std::max(step.prompt_tokens_dropped, static_cast<int64_t>(step.choices[index].choice.dropped.size()));
    note_eviction(evict_event(index), false, false);
  }
  reassign_positions(layer, num_tokens - 1);
}

// Caches a token of the prompt, or one of each head.
void Session::page_token(const std::vector<int32_t>& tokens) {
  const auto num_heads = static_cast<size_t>(model_config().num_kv_heads);
  const auto head_dim = static_cast<size_t>(model_config().head_dim);
  std::vector<const float*> keys(num_heads), values(num_heads);
  for (size_t head = 0; head < num_heads; ++head) {
    const auto token = static_cast<size_t>(tokens.size() == 1 ? tokens.front() : tokens[head]);
    const size_t at = (token * num_heads + head) * head_dim;
    keys[head] = activations_.key.data() + at;
    values[head] = activations_.value.data() + at;
  }
  layers_[static_cast<size_t>(step_->layer)].cache.append_per_head(keys.data(), values.data(), tokens.data());
}

}  // namespace octavo
