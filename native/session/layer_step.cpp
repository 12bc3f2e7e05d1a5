// One layer of a step, as stages between which it may stop. In decode the cut comes before attention, which
// so runs on the cut cache; in prefill it comes after, so the prompt attends in full.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/check.h"
#include "evict/token_score.h"
#include "ops/causal_attention.h"
#include "ops/kv_norms.h"
#include "ops/paged_attention.h"
#include "session/session.h"
#include "session/stopwatch.h"

namespace octavo {

namespace {

float attention_scale(const LlamaConfig& config) {
  return 1.0F / std::sqrt(static_cast<float>(config.head_dim));
}

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

void require_finite(const char* what,
                    const std::vector<float>& numbers,  // [num_tokens, num_kv_heads, head_dim]
                    const LlamaConfig& config, int layer, int64_t first_position) {
  if (all_finite(numbers)) return;
  const auto found =
      std::find_if(numbers.begin(), numbers.end(), [](float number) { return !std::isfinite(number); });
  const int64_t row = (found - numbers.begin()) / config.head_dim;
  throw Error("ERR_OCTAVO_NAN", "Expected finite numbers but layer " + std::to_string(layer) + " made a " +
                                    what + " with " + std::to_string(*found) + " at position " +
                                    std::to_string(first_position + row / config.num_kv_heads) +
                                    ", KV head " + std::to_string(row % config.num_kv_heads) +
                                    "; the step was taken back");
}

}  // namespace

std::optional<Event> Session::decode_layer(const StopConditions& stop) {
  Step& step = *step_;
  KvCache& cache = layers_[static_cast<size_t>(step.layer)].cache;
  if (step.stage == Stage::kProject) {
    project();
    cache.append(activations_.key.data(), activations_.value.data(), step.first_position);
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
    choose_block();
    step.stage = step.choice ? Stage::kEvict : Stage::kFinish;
  }
  if (step.stage == Stage::kEvict) {
    EvictEvent event = evict_event();
    if (announces(stop.evict, stop)) return event;
    const Stopwatch stopwatch(step.evict_us);
    const EvictedBlock evicted = cache.evict(*event.logical_index);
    note_eviction(std::move(event), evicted.freed);
    step.stage = Stage::kFinish;
  }
  {
    const Stopwatch stopwatch(step.attention_us);
    const LlamaConfig& config = model_config();
    paged_attention_cpu({.num_query_heads = config.num_query_heads,
                         .num_kv_heads = config.num_kv_heads,
                         .head_dim = config.head_dim,
                         .block_size = config_.block_size},
                        activations_.query.data(), cache.keys().f32(), cache.values().f32(),
                        cache.table().block_ids().data(), cache.table().kv_len(), attention_scale(config),
                        activations_.attention.data());
  }
  finish_layer(0);
  return std::nullopt;
}

std::optional<Event> Session::prefill_layer(const StopConditions& stop) {
  Step& step = *step_;
  if (step.stage == Stage::kProject) {
    project();
    {
      const Stopwatch stopwatch(step.attention_us);
      const LlamaConfig& config = model_config();
      causal_attention_cpu(config.num_query_heads, config.num_kv_heads, config.head_dim,
                           activations_.query.data(), activations_.key.data(), activations_.value.data(),
                           static_cast<int64_t>(step.tokens.size()), attention_scale(config),
                           activations_.attention.data());
    }
    choose_tokens();
    step.stage = step.choice ? Stage::kEvict : Stage::kFinish;
  }
  if (step.stage == Stage::kEvict) {
    if (announces(stop.evict, stop)) return evict_event();
    step.stage = Stage::kFinish;
  }
  page_prompt();
  // Nothing reads the last layer's output but the logits of the last token.
  const bool is_last = step.layer + 1 == model_config().num_layers;
  finish_layer(is_last ? static_cast<int64_t>(step.tokens.size()) - 1 : 0);
  return std::nullopt;
}

void Session::project() {
  const Step& step = *step_;
  model_->project_qkv(step.layer, activations_.hidden.data(), activations_.positions.data(),
                      static_cast<int64_t>(step.tokens.size()), workspace_, activations_.query.data(),
                      activations_.key.data(), activations_.value.data());
  require_finite("key", activations_.key, model_config(), step.layer, step.first_position);
  require_finite("value", activations_.value, model_config(), step.layer, step.first_position);
}

void Session::choose_block() {
  Step& step = *step_;
  Layer& layer = layers_[static_cast<size_t>(step.layer)];
  KvCache& cache = layer.cache;
  if (policy_->scores_tokens()) {
    const Stopwatch stopwatch(step.score_us);
    const KvCacheShape& shape = cache.shape();
    const int32_t newest = cache.table().block_ids().back();
    const int64_t num_rows = int64_t{shape.num_kv_heads} * shape.block_size;
    std::vector<float> norms(static_cast<size_t>(2 * num_rows));
    kv_norms_cpu(cache.block_keys(newest), cache.block_values(newest), num_rows, 1, shape.head_dim,
                 norms.data(), norms.data() + num_rows);
    const TokenScores scores = policy_->score_tokens({.key = norms.data(),
                                                      .value = norms.data() + num_rows,
                                                      .num_tokens = shape.block_size,
                                                      .num_kv_heads = shape.num_kv_heads,
                                                      .token_stride = 1,
                                                      .head_stride = shape.block_size});
    layer.num_nan_scores += scores.num_nan;
    cache.set_score(newest, block_score(scores.values.data(), shape.block_size));
  }
  const Stopwatch stopwatch(step.evict_us);
  std::vector<float> scores;
  for (const int32_t block_id : cache.table().block_ids()) scores.push_back(cache.score(block_id));
  step.choice = policy_->choose_block({.layer = step.layer,
                                       .step_index = step.index,
                                       .num_blocks = cache.table().num_blocks(),
                                       .kv_len = cache.table().kv_len(),
                                       .scores = policy_->scores_tokens() ? scores.data() : nullptr});
}

void Session::choose_tokens() {
  Step& step = *step_;
  const LlamaConfig& config = model_config();
  const auto num_tokens = static_cast<int64_t>(step.tokens.size());
  step.token_scores.clear();
  if (policy_->scores_tokens()) {
    const Stopwatch stopwatch(step.score_us);
    const int64_t num_rows = num_tokens * config.num_kv_heads;
    std::vector<float> norms(static_cast<size_t>(2 * num_rows));
    kv_norms_cpu(activations_.key.data(), activations_.value.data(), num_tokens, config.num_kv_heads,
                 config.head_dim, norms.data(), norms.data() + num_rows);
    TokenScores scores = policy_->score_tokens({.key = norms.data(),
                                                .value = norms.data() + num_rows,
                                                .num_tokens = num_tokens,
                                                .num_kv_heads = config.num_kv_heads,
                                                .token_stride = config.num_kv_heads,
                                                .head_stride = 1});
    layers_[static_cast<size_t>(step.layer)].num_nan_scores += scores.num_nan;
    step.token_scores = std::move(scores.values);
  }
  const Stopwatch stopwatch(step.evict_us);
  step.choice =
      policy_->choose_tokens({.layer = step.layer,
                              .step_index = step.index,
                              .num_tokens = num_tokens,
                              .scores = policy_->scores_tokens() ? step.token_scores.data() : nullptr});
}

// Survivors go into blocks in order of position, so that no block has holes; each block that this fills is
// scored.
void Session::page_prompt() {
  Step& step = *step_;
  KvCache& cache = layers_[static_cast<size_t>(step.layer)].cache;
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
    if (cache.table().is_full()) {
      cache.set_score(cache.table().block_ids().back(), block_score(block_scores.data(), config_.block_size));
      block_scores.clear();
    }
  }
  if (step.choice) note_eviction(evict_event(), false);
}

void Session::finish_layer(int64_t first_token) {
  Step& step = *step_;
  const LlamaConfig& config = model_config();
  const int64_t attention_row = int64_t{config.num_query_heads} * config.head_dim;
  model_->finish_layer(step.layer, activations_.attention.data() + first_token * attention_row,
                       static_cast<int64_t>(step.tokens.size()) - first_token, workspace_,
                       activations_.hidden.data() + first_token * config.hidden_size);
  ++step.layer;
  step.stage = Stage::kProject;
  step.choice.reset();
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
                              .score = event.score,
                              .runner_up_score = event.runner_up_score,
                              .positions = std::move(event.positions),
                              .candidates = std::move(event.candidates),
                              .candidate_scores = std::move(event.candidate_scores)});
}

}  // namespace octavo
