// One layer of a step, as stages between which it may stop. In decode the cut comes before attention, which
// so runs on the cut cache; in prefill it comes after, so the prompt attends in full.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <utility>

#include "core/check.h"
#include "ops/causal_attention.h"
#include "ops/paged_attention.h"
#include "session/session.h"
#include "session/stopwatch.h"

namespace octavo {

namespace {

// Bits decide, so that the loop is branch-free: an exponent of all ones is infinity or NaN.
bool all_finite(const std::vector<float>& numbers) {
  uint32_t largest = 0;
  for (const float number : numbers) {
    uint32_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    largest = std::max(largest, bits & 0x7fffffffU);
  }
  return largest < 0x7f800000U;
}

// The first of numbers that is not finite, if there is one.
std::optional<size_t> find_non_finite(const std::vector<float>& numbers) {
  if (all_finite(numbers)) return std::nullopt;
  const auto found =
      std::find_if(numbers.begin(), numbers.end(), [](float number) { return !std::isfinite(number); });
  return static_cast<size_t>(found - numbers.begin());
}

}  // namespace

std::optional<Event> Session::decode_layer(const StopConditions& stop) {
  Step& step = *step_;
  Layer& layer = layers_[static_cast<size_t>(step.layer)];
  KvCache& cache = layer.cache;
  if (step.stage == Stage::kProject) {
    if (step.together) return std::nullopt;
    project();
  }
  if (step.stage == Stage::kProjected) {
    if (std::optional<NanEvent> event = require_finite(stop)) return event;
    cache.append(activations_.key.data(), activations_.value.data(), step.first_position);
    note_cached_token(layer);
    step.stage = cache.table().is_full() ? Stage::kBlockFull : stage_after_full(false);
  }
  if (step.stage == Stage::kBlockFull) {
    if (announces(stop.block_full, stop)) {
      const int newest = cache.table().num_blocks() - 1;
      return BlockFullEvent{.step_index = step.index,
                            .layer = step.layer,
                            .logical_index = newest,
                            .block_id = cache.table().block_id(newest)};
    }
    step.stage = stage_after_full(true);
  }
  const bool by_token = policy_->unit() == EvictionUnit::kToken;
  if (step.stage == Stage::kScore) {
    if (std::optional<ScoreEvent> event = ask_for_scores()) return event;
    if (by_token) {
      score_cached_tokens();
    } else {
      score_blocks();
    }
    step.stage = Stage::kChoose;
  }
  // One round is the rule; a cache that a fork's policy or a decision left further above its budget takes
  // more.
  while (step.stage == Stage::kChoose || step.stage == Stage::kEvict) {
    if (step.stage == Stage::kChoose) {
      const Stopwatch stopwatch(step.evict_us);
      if (by_token) {
        choose_cached_tokens();
      } else {
        choose_block();
      }
      step.stage = step.choices.empty() ? Stage::kFinish : Stage::kEvict;
    }
    if (step.stage == Stage::kEvict) {
      if (std::optional<Event> event = announce_evictions(stop)) return event;
      const Stopwatch stopwatch(step.evict_us);
      if (by_token) {
        drop_cached_tokens();
      } else {
        drop_block();
      }
      reassign_positions(layer, step.first_position);
      if (shares_choices() && step.layer == 0) share_choices();
      step.choices.clear();
      step.stage = Stage::kChoose;
    }
  }
  if (step.stage == Stage::kFinish) {
    if (step.together) return std::nullopt;
    attend();
  }
  if (step.stage == Stage::kAttended) {
    if (step.together) return std::nullopt;
    finish_layer(0);
  }
  return end_layer(stop);
}

void Session::attend() {
  Step& step = *step_;
  {
    const Stopwatch stopwatch(step.attention_us);
    const KvCache& cache = layers_[static_cast<size_t>(step.layer)].cache;
    const LlamaConfig& config = model_config();
    const bool keeps_numerators = sums_attention(step.layer) && serves_numerators(cache);
    paged_attention_cpu({.num_query_heads = config.num_query_heads,
                         .num_kv_heads = config.num_kv_heads,
                         .head_dim = config.head_dim,
                         .block_size = config_.block_size,
                         .kv_dtype = cache.shape().dtype},
                        activations_.query.data(), cache.keys().data, cache.values().data,
                        cache.table().block_ids().data(), cache.table().num_slots(), attention_scale(config),
                        activations_.attention.data(), keeps_numerators ? &numerators_ : nullptr,
                        cache.table().dead_slots());
  }
  if (sums_attention(step.layer)) add_attention_mass();
  step.stage = Stage::kAttended;
}

// Of a decode step whose token is cached: with blocks as unit they go once the newest is full.
Stage Session::stage_after_full(bool is_full) const {
  if (!policy_->evicts_in(step_->layer)) return Stage::kFinish;
  if (policy_->unit() == EvictionUnit::kBlock) return is_full ? Stage::kScore : Stage::kFinish;
  const int64_t kv_len = layers_[static_cast<size_t>(step_->layer)].cache.table().kv_len();
  return policy_->tokens_over_budget(kv_len) > 0 ? Stage::kScore : Stage::kFinish;
}

std::optional<Event> Session::prefill_layer(const StopConditions& stop) {
  Step& step = *step_;
  if (step.cuts_waiting_layers) return cut_waiting_layer(stop);
  if (step.stage == Stage::kProject) project();
  if (step.stage == Stage::kProjected) {
    if (std::optional<NanEvent> event = require_finite(stop)) return event;
    const bool cuts_first = config_.policy.prefill_attention == PrefillAttention::kEvicted;
    if (!cuts_first) attend_prompt();
    score_prompt();
    step.stage = Stage::kScore;
  }
  if (step.stage == Stage::kScore) {
    if (std::optional<ScoreEvent> event = ask_for_scores()) return event;
    step.stage = Stage::kChoose;
  }
  if (step.stage == Stage::kChoose) {
    choose_tokens();
    step.stage = step.choices.empty() ? Stage::kFinish : Stage::kEvict;
  }
  if (step.stage == Stage::kEvict) {
    if (std::optional<Event> event = announce_evictions(stop)) return event;
    step.stage = Stage::kFinish;
  }
  if (step.stage == Stage::kFinish) {
    if (config_.policy.prefill_attention == PrefillAttention::kEvicted) attend_prompt();
    if (waits_for_all_layers()) {
      wait_for_all_layers();
    } else {
      page_prompt();
    }
    step.stage = Stage::kAttended;
  }
  if (step.stage == Stage::kAttended) {
    // Nothing reads the last layer's output but the logits of the last token.
    const bool is_last = step.layer + 1 == model_config().num_layers;
    finish_layer(is_last ? static_cast<int64_t>(step.tokens.size()) - 1 : 0);
  }
  return end_layer(stop);
}

void Session::project() {
  Step& step = *step_;
  model_->project_qkv(step.layer, activations_.hidden.data(), activations_.positions.data(),
                      static_cast<int64_t>(step.tokens.size()), workspace_, activations_.query.data(),
                      activations_.key.data(), activations_.value.data());
  end_projection();
}

void Session::end_projection() {
  const size_t query_size = static_cast<size_t>(model_config().num_query_heads) * model_config().head_dim;
  std::copy(activations_.query.end() - static_cast<int64_t>(query_size), activations_.query.end(),
            next_queries_.begin() + static_cast<int64_t>(query_size) * step_->layer);
  step_->stage = Stage::kProjected;
}

std::optional<NanEvent> Session::require_finite(const StopConditions& stop) {
  const Step& step = *step_;
  for (const bool in_key : {true, false}) {
    const std::vector<float>& numbers = in_key ? activations_.key : activations_.value;
    const std::optional<size_t> place = find_non_finite(numbers);
    if (!place) continue;
    const auto row = static_cast<int64_t>(*place / static_cast<size_t>(model_config().head_dim));
    const NanEvent event{.step_index = step.index,
                         .layer = step.layer,
                         .in_key = in_key,
                         .position = step.first_position + row / model_config().num_kv_heads,
                         .kv_head = static_cast<int>(row % model_config().num_kv_heads)};
    if (announces(stop.nan, stop)) return event;
    throw Error("ERR_OCTAVO_NAN", "Expected finite numbers but layer " + std::to_string(event.layer) +
                                      " made a " + (in_key ? "key" : "value") + " with " +
                                      std::to_string(numbers[*place]) + " at position " +
                                      std::to_string(event.position) + ", KV head " +
                                      std::to_string(event.kv_head) + "; the step was taken back");
  }
  return std::nullopt;
}

TableView Session::table_view() const {
  const BlockTable& table = layers_[static_cast<size_t>(step_->layer)].cache.table();
  return {.layer = step_->layer,
          .step_index = step_->index,
          .num_blocks = table.num_blocks(),
          .kv_len = table.kv_len(),
          .scores = table.scores().data()};
}

void Session::choose_block() {
  Step& step = *step_;
  step.next_choice = 0;
  if (shares_choices() && step.layer > 0) return take_shared_choices();
  std::optional<Choice> choice =
      shares_choices() ? choose_shared_block() : policy_->choose_block(table_view());
  if (choice) step.choices.push_back({.choice = *std::move(choice)});
}

void Session::drop_block() {
  Step& step = *step_;
  Layer& layer = layers_[static_cast<size_t>(step.layer)];
  EvictEvent event = evict_event(0);
  const int logical_index = *event.logical_index;
  const int num_slots = layer.cache.table().filled(logical_index);
  const EvictedBlock evicted = layer.cache.evict(logical_index);
  forget_slots(layer, int64_t{logical_index} * config_.block_size, num_slots);
  const bool by_user = step.choices.front().decided_by_user;
  if (evicted.positions.size() == 1) return note_eviction(std::move(event), by_user, evicted.freed);
  for (size_t head = 0; head < evicted.positions.size(); ++head) {  // a row of each
    event.kv_head = static_cast<int>(head);
    event.positions = evicted.positions[head];
    note_eviction(event, by_user, evicted.freed);
  }
}

// Replaces what the policy chose for the eviction that the step stopped before.
void Session::decide(const Decision& decision) {
  if (decision.scores) return take_scores(*decision.scores);
  const bool stands = step_ && step_->stage == Stage::kEvict && step_->announced;
  if (!stands || step_->phase != Phase::kDecode) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected a session that stopped before an eviction in decode to decide on but this one " +
                    std::string(stands ? "stopped before that of a prompt's tokens" : "did not"));
  }
  Step& step = *step_;
  if (shares_choices() && step.layer > 0) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected layer 0 for a decision, as all layers share one, but received one for layer " +
                    std::to_string(step.layer));
  }
  if (!decision.replacement) {
    step.choices.clear();
    step.announced = false;
    step.stage = Stage::kFinish;
  } else if (policy_->unit() == EvictionUnit::kToken) {
    decide_on_token(*decision.replacement);
  } else {
    decide_on_block(*decision.replacement);
  }
}

void Session::decide_on_block(int chosen) {
  Step& step = *step_;
  const BlockTable& table = layers_[static_cast<size_t>(step.layer)].cache.table();
  if (chosen < 0 || chosen > table.num_blocks() - 2) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected a logical block index from 0 to " + std::to_string(table.num_blocks() - 2) +
                    " (the newest block must stay) but received " + std::to_string(chosen));
  }
  step.choices.front().choice.score = table.score(chosen);
  replace_choice(step.choices.front(), chosen);
}

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
    std::optional<Choice> choice = policy_->choose_tokens(prompt_view(scores, kv_head));
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

// Over the whole prompt, or over what the choice leaves of it.
float* Session::attention_rows() {
  return (step_->attends_in_place ? activations_.query : activations_.attention).data();
}

void Session::attend_prompt() {
  Step& step = *step_;
  const Stopwatch stopwatch(step.attention_us);
  const LlamaConfig& config = model_config();
  const auto num_tokens = static_cast<int64_t>(step.tokens.size());
  if (step.choices.empty()) {
    return causal_attention_cpu(config.num_query_heads, config.num_kv_heads, config.head_dim,
                                activations_.query.data(), activations_.key.data(), activations_.value.data(),
                                num_tokens, attention_scale(config), attention_rows());
  }
  const size_t row = static_cast<size_t>(config.num_kv_heads) * config.head_dim;
  std::vector<int32_t> positions;
  std::vector<float> key, value;
  const std::vector<int32_t>& dropped = step.choices.front().choice.dropped;
  auto next_dropped = dropped.begin();
  for (int32_t token = 0; token < num_tokens; ++token) {
    if (next_dropped != dropped.end() && *next_dropped == token) {
      ++next_dropped;
      continue;
    }
    const size_t first = static_cast<size_t>(token) * row;
    positions.push_back(token);
    key.insert(key.end(), &activations_.key[first], &activations_.key[first] + row);
    value.insert(value.end(), &activations_.value[first], &activations_.value[first] + row);
  }
  causal_attention_over_kept_cpu(config.num_query_heads, config.num_kv_heads, config.head_dim,
                                 activations_.query.data(),
                                 {.key = key.data(),
                                  .value = value.data(),
                                  .positions = positions.data(),
                                  .num_kept = static_cast<int64_t>(positions.size())},
                                 num_tokens, attention_scale(config), attention_rows());
}

// Survivors go into blocks in order of position, so that no block has holes, and each head's by themselves;
// each block that this fills is scored.
void Session::page_prompt() {
  Step& step = *step_;
  Layer& layer = layers_[static_cast<size_t>(step.layer)];
  const auto num_tokens = static_cast<int32_t>(step.tokens.size());
  std::vector<std::vector<int32_t>> kept(static_cast<size_t>(num_choosers()));
  for (size_t chooser = 0; chooser < kept.size(); ++chooser) {
    const std::vector<int32_t> none;
    const std::vector<int32_t>& dropped = step.choices.empty() ? none : step.choices[chooser].choice.dropped;
    auto next_dropped = dropped.begin();
    for (int32_t token = 0; token < num_tokens; ++token) {
      if (next_dropped != dropped.end() && *next_dropped == token) {
        ++next_dropped;
      } else {
        kept[chooser].push_back(token);
      }
    }
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
  reassign_positions(layer, int64_t{num_tokens} - 1);
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

void Session::finish_layer(int64_t first_token) {
  Step& step = *step_;
  const LlamaConfig& config = model_config();
  const int64_t attention_row = int64_t{config.num_query_heads} * config.head_dim;
  model_->finish_layer(step.layer, attention_rows() + first_token * attention_row,
                       static_cast<int64_t>(step.tokens.size()) - first_token, workspace_,
                       activations_.hidden.data() + first_token * config.hidden_size);
  step.stage = Stage::kLayerEnd;
  step.choices.clear();
}

std::optional<Event> Session::end_layer(const StopConditions& stop) {
  Step& step = *step_;
  if (announces(stop.layer_end, stop)) return LayerEvent{.step_index = step.index, .layer = step.layer};
  ++step.layer;
  step.stage = Stage::kProject;
  step.num_shared_taken = 0;
  if (step.layer == model_config().num_layers && !step.waiting_layers.empty()) begin_cut();
  return std::nullopt;
}

// Whether the step stops here: the first time only, so that the next advance goes past it.
bool Session::announces(bool wanted, const StopConditions& stop) {
  Step& step = *step_;
  const bool here = wanted && !step.announced && stop.layer.value_or(step.layer) == step.layer;
  step.announced = here;
  return here;
}

// One stop a choice: a layer's, or each head's in turn.
std::optional<Event> Session::announce_evictions(const StopConditions& stop) {
  Step& step = *step_;
  for (; step.next_choice < step.choices.size(); ++step.next_choice) {
    if (announces(stop.evict, stop)) return evict_event(step.next_choice);
  }
  return std::nullopt;
}

EvictEvent Session::evict_event(size_t index) const {
  const Step& step = *step_;
  const KvCache& cache = layers_[static_cast<size_t>(step.layer)].cache;
  const Choice& choice = step.choices[index].choice;
  EvictEvent event{.step_index = step.index,
                   .layer = step.layer,
                   .phase = step.phase,
                   .granularity = Granularity::kToken,
                   .shared = shares_choices(),
                   .kv_head = {},
                   .logical_index = {},
                   .block_id = {},
                   .slot_index = {},
                   .positions = choice.dropped,
                   .score = choice.score,
                   .runner_up_score = choice.runner_up_score,
                   .candidates = choice.candidates,
                   .candidate_scores = choice.candidate_scores};
  if (step.choices.size() > 1) event.kv_head = static_cast<int>(index);
  if (step.phase == Phase::kPrefill) return event;
  if (policy_->unit() == EvictionUnit::kBlock) {
    event.granularity = Granularity::kBlock;
    event.logical_index = choice.dropped.front();
    event.block_id = cache.table().block_id(choice.dropped.front());
    std::set<int32_t> positions;
    for (int row = 0; row < cache.num_position_rows(); ++row) {
      const std::vector<int32_t> of_row = cache.live_positions(choice.dropped.front(), row);
      positions.insert(of_row.begin(), of_row.end());
    }
    event.positions = {positions.begin(), positions.end()};
  } else if (choice.dropped.size() == 1) {
    const int64_t slot = find_slot(cache, choice.dropped.front(), static_cast<int>(index));
    event.logical_index = static_cast<int>(slot / config_.block_size);
    event.slot_index = static_cast<int>(slot % config_.block_size);
    event.block_id = cache.table().block_id(*event.logical_index);
  }
  return event;
}

// What might have gone besides a cached token is as long a list as the cache, so it is kept with the blocks'
// rows only.
void Session::note_eviction(EvictEvent event, bool decided_by_user, bool freed) {
  const bool is_cached_token = event.phase == Phase::kDecode && event.granularity == Granularity::kToken;
  if (is_cached_token && !config_.record_blocks) {
    event.candidates.clear();
    event.candidate_scores.clear();
  }
  step_->evictions.push_back({.step_index = static_cast<int32_t>(event.step_index),
                              .layer_index = event.layer,
                              .phase = event.phase,
                              .granularity = event.granularity,
                              .logical_index = event.logical_index.value_or(-1),
                              .block_id = event.block_id.value_or(-1),
                              .slot_index = event.slot_index.value_or(-1),
                              .kv_head = event.kv_head.value_or(-1),
                              .freed = freed,
                              .decided_by_user = decided_by_user,
                              .score = event.score,
                              .runner_up_score = event.runner_up_score,
                              .positions = std::move(event.positions),
                              .candidates = std::move(event.candidates),
                              .candidate_scores = std::move(event.candidate_scores)});
}

}  // namespace octavo
