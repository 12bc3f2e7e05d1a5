// One layer of a step, as stages between which it may stop. In decode the cut comes before attention, which
// so runs on the cut cache; in prefill it comes after, so the prompt attends in full.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/check.h"
#include "evict/token_score.h"
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
    if (sums_attention(step.layer)) layer.attention_mass.push_back(0);
    step.stage = cache.table().is_full() ? Stage::kBlockFull : Stage::kFinish;
  }
  if (step.stage == Stage::kBlockFull) {
    if (announces(stop.block_full, stop)) {
      const int newest = cache.table().num_blocks() - 1;
      return BlockFullEvent{.step_index = step.index,
                            .layer = step.layer,
                            .logical_index = newest,
                            .block_id = cache.table().block_id(newest)};
    }
    step.stage = Stage::kScore;
  }
  if (step.stage == Stage::kScore) {
    if (std::optional<ScoreEvent> event = ask_for_scores()) return event;
    score_blocks();
    step.stage = Stage::kChoose;
  }
  // One eviction is the rule; a cache that a fork's policy or a veto left further above its budget takes
  // more.
  while (step.stage == Stage::kChoose || step.stage == Stage::kEvict) {
    if (step.stage == Stage::kChoose) choose_block();
    if (step.stage == Stage::kEvict) {
      EvictEvent event = evict_event();
      if (announces(stop.evict, stop)) return event;
      const Stopwatch stopwatch(step.evict_us);
      const EvictedBlock evicted = cache.evict(*event.logical_index);
      if (sums_attention(step.layer)) {
        const auto first = layer.attention_mass.begin() + int64_t{*event.logical_index} * config_.block_size;
        layer.attention_mass.erase(first, first + config_.block_size);
      }
      note_eviction(std::move(event), evicted.freed);
      if (shares_choices() && step.layer == 0) share_choice();
      step.choice.reset();
      step.decided_by_user = false;
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
    paged_attention_cpu({.num_query_heads = config.num_query_heads,
                         .num_kv_heads = config.num_kv_heads,
                         .head_dim = config.head_dim,
                         .block_size = config_.block_size},
                        activations_.query.data(), cache.keys().f32(), cache.values().f32(),
                        cache.table().block_ids().data(), cache.table().kv_len(), attention_scale(config),
                        activations_.attention.data(), sums_attention(step.layer) ? &numerators_ : nullptr);
  }
  if (sums_attention(step.layer)) add_attention_mass();
  step.stage = Stage::kAttended;
}

std::optional<Event> Session::prefill_layer(const StopConditions& stop) {
  Step& step = *step_;
  if (step.cuts_waiting_layers) return cut_waiting_layer(stop);
  if (step.stage == Stage::kProject) project();
  if (step.stage == Stage::kProjected) {
    if (std::optional<NanEvent> event = require_finite(stop)) return event;
    const bool cuts_first = config_.policy.prefill_attention == PrefillAttention::kEvicted;
    if (!cuts_first) attend_prompt();
    choose_tokens();
    step.stage = step.choice ? Stage::kEvict : Stage::kFinish;
  }
  if (step.stage == Stage::kEvict) {
    if (announces(stop.evict, stop)) return evict_event();
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
  const Stopwatch stopwatch(step.evict_us);
  step.choice = shares_choices() ? choose_shared_block() : policy_->choose_block(table_view());
  step.stage = step.choice ? Stage::kEvict : Stage::kFinish;
}

// Replaces what the policy chose for the eviction that the step stopped before.
void Session::decide(const Decision& decision) {
  if (decision.scores) return take_scores(*decision.scores);
  const bool stands = step_ && step_->stage == Stage::kEvict && step_->announced;
  if (!stands || step_->phase != Phase::kDecode) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected a session that stopped before the eviction of a block to decide on but this one " +
                    std::string(stands ? "stopped before that of a prompt's tokens" : "did not"));
  }
  Step& step = *step_;
  if (shares_choices() && step.layer > 0) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected layer 0 for a decision, as all layers share one, but received one for layer " +
                    std::to_string(step.layer));
  }
  if (!decision.logical_index) {
    step.choice.reset();
    step.announced = false;
    step.stage = Stage::kFinish;
    return;
  }
  const BlockTable& table = layers_[static_cast<size_t>(step.layer)].cache.table();
  const int chosen = *decision.logical_index;
  if (chosen < 0 || chosen > table.num_blocks() - 2) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected a logical block index from 0 to " + std::to_string(table.num_blocks() - 2) +
                    " (the newest block must stay) but received " + std::to_string(chosen));
  }
  Choice& choice = *step.choice;
  const auto lower = [](float a, float b) { return std::isnan(b) || a < b; };  // NaN counts as the highest
  choice.score = table.score(chosen);
  choice.runner_up_score = BlockTable::kNoScore;
  for (size_t place = 0; place < choice.candidates.size(); ++place) {
    const float score = choice.candidate_scores[place];
    if (choice.candidates[place] == chosen) {
      choice.score = score;
    } else if (lower(score, choice.runner_up_score)) {
      choice.runner_up_score = score;
    }
  }
  choice.dropped = {chosen};
  step.decided_by_user = true;
}

void Session::choose_tokens() {
  Step& step = *step_;
  score_prompt();
  const Stopwatch stopwatch(step.evict_us);
  if (shares_choices()) {
    choose_shared_tokens();
  } else {
    step.choice = policy_->choose_tokens(prompt_view(step.token_scores));
  }
}

PromptView Session::prompt_view(const std::vector<float>& scores) const {
  return {.layer = step_->layer,
          .step_index = step_->index,
          .num_tokens = static_cast<int64_t>(step_->tokens.size()),
          .scores = scores.empty() ? nullptr : scores.data()};
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
  if (!step.choice) {
    return causal_attention_cpu(config.num_query_heads, config.num_kv_heads, config.head_dim,
                                activations_.query.data(), activations_.key.data(), activations_.value.data(),
                                num_tokens, attention_scale(config), attention_rows());
  }
  const size_t row = static_cast<size_t>(config.num_kv_heads) * config.head_dim;
  std::vector<int32_t> positions;
  std::vector<float> key, value;
  auto next_dropped = step.choice->dropped.begin();
  for (int32_t token = 0; token < num_tokens; ++token) {
    if (next_dropped != step.choice->dropped.end() && *next_dropped == token) {
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

// Survivors go into blocks in order of position, so that no block has holes; each block that this fills is
// scored.
void Session::page_prompt() {
  Step& step = *step_;
  Layer& layer = layers_[static_cast<size_t>(step.layer)];
  KvCache& cache = layer.cache;
  const auto row = static_cast<size_t>(model_config().num_kv_heads) * model_config().head_dim;
  std::vector<float> block_scores;
  const std::vector<int32_t> none;
  const std::vector<int32_t>& dropped = step.choice ? step.choice->dropped : none;
  auto next_dropped = dropped.begin();
  for (size_t token = 0; token < step.tokens.size(); ++token) {
    if (next_dropped != dropped.end() && *next_dropped == static_cast<int32_t>(token)) {
      ++next_dropped;
      continue;
    }
    cache.append(activations_.key.data() + token * row, activations_.value.data() + token * row,
                 static_cast<int64_t>(token));
    if (step.token_scores.empty()) continue;
    block_scores.push_back(step.token_scores[token]);
    if (sums_attention(step.layer)) layer.attention_mass.push_back(step.token_mass[token]);
    if (cache.table().is_full()) {
      cache.set_score(cache.table().num_blocks() - 1, block_score(block_scores.data(), config_.block_size));
      block_scores.clear();
    }
  }
  step.prompt_tokens_dropped = std::max(step.prompt_tokens_dropped, static_cast<int64_t>(dropped.size()));
  if (step.choice) note_eviction(evict_event(), false);
}

void Session::finish_layer(int64_t first_token) {
  Step& step = *step_;
  const LlamaConfig& config = model_config();
  const int64_t attention_row = int64_t{config.num_query_heads} * config.head_dim;
  model_->finish_layer(step.layer, attention_rows() + first_token * attention_row,
                       static_cast<int64_t>(step.tokens.size()) - first_token, workspace_,
                       activations_.hidden.data() + first_token * config.hidden_size);
  step.stage = Stage::kLayerEnd;
  step.choice.reset();
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

EvictEvent Session::evict_event() const {
  const Step& step = *step_;
  const KvCache& cache = layers_[static_cast<size_t>(step.layer)].cache;
  const Choice& choice = *step.choice;
  EvictEvent event{.step_index = step.index,
                   .layer = step.layer,
                   .phase = step.phase,
                   .granularity = Granularity::kToken,
                   .shared = shares_choices(),
                   .logical_index = {},
                   .block_id = {},
                   .positions = choice.dropped,
                   .score = choice.score,
                   .runner_up_score = choice.runner_up_score,
                   .candidates = choice.candidates,
                   .candidate_scores = choice.candidate_scores};
  if (step.phase == Phase::kDecode) {
    event.granularity = Granularity::kBlock;
    event.logical_index = choice.dropped.front();
    event.block_id = cache.table().block_id(choice.dropped.front());
    event.positions = cache.live_positions(choice.dropped.front());
  }
  return event;
}

void Session::note_eviction(EvictEvent event, bool freed) {
  step_->evictions.push_back({.step_index = static_cast<int32_t>(event.step_index),
                              .layer_index = event.layer,
                              .phase = event.phase,
                              .granularity = event.granularity,
                              .logical_index = event.logical_index.value_or(-1),
                              .block_id = event.block_id.value_or(-1),
                              .freed = freed,
                              .decided_by_user = step_->decided_by_user,
                              .score = event.score,
                              .runner_up_score = event.runner_up_score,
                              .positions = std::move(event.positions),
                              .candidates = std::move(event.candidates),
                              .candidate_scores = std::move(event.candidate_scores)});
}

}  // namespace octavo
