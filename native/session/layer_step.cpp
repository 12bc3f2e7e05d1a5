// One layer of a step, as stages between which it may stop. In decode the cut comes before attention, which
// so runs on the cut cache; in prefill it comes after, so the prompt attends in full.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "core/check.h"
#include "core/thread_pool.h"
#include "ops/paged_attention.h"
#include "session/session.h"
#include "session/stopwatch.h"

namespace octavo {

namespace {

// Bits decide, so that the loop is branch-free: an exponent of all ones is infinity or NaN.
bool all_finite(const float* numbers, int64_t count) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, &numbers[i], sizeof bits);
    largest = std::max(largest, bits & 0x7fffffffU);
  }
  return largest < 0x7f800000U;
}

// The first of numbers that is not finite, if there is one.
std::optional<int64_t> find_non_finite(const float* numbers, int64_t count) {
  std::atomic<bool> is_clean = true;
  parallel_for_worthwhile(count, static_cast<double>(count), [&](int64_t begin, int64_t end, int) {
    if (!all_finite(numbers + begin, end - begin)) is_clean = false;
  });
  if (is_clean) return std::nullopt;
  return std::find_if(numbers, numbers + count, [](float number) { return !std::isfinite(number); }) -
         numbers;
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
        // Long as a cache, the list is made only for who stops before the choice or keeps it with the blocks.
        choose_cached_tokens(stop.evict || config_.record_blocks);
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

PagedAttentionShape Session::attention_shape(const KvCache& cache) const {
  return {.num_query_heads = model_config().num_query_heads,
          .num_kv_heads = model_config().num_kv_heads,
          .head_dim = model_config().head_dim,
          .block_size = config_.block_size,
          .kv_dtype = cache.shape().dtype};
}

void Session::attend() {
  Step& step = *step_;
  {
    const Stopwatch stopwatch(step.attention_us);
    const KvCache& cache = layers_[static_cast<size_t>(step.layer)].cache;
    const LlamaConfig& config = model_config();
    const bool has_logits = logits_of_newest_.num_slots() == cache.table().num_slots();
    paged_attention_cpu(attention_shape(cache), activations_.query.data(),
                        {.key_cache = cache.keys().data,
                         .value_cache = cache.values().data,
                         .block_table = cache.table().block_ids().data(),
                         .kv_len = cache.table().num_slots(),
                         .dead_slots = cache.table().dead_slots()},
                        attention_scale(config), activations_.attention.data(),
                        sums_attention(step.layer) ? &numerators_ : nullptr,
                        has_logits ? &logits_of_newest_ : nullptr);
  }
  logits_of_newest_.clear();
  if (sums_attention(step.layer)) add_attention_mass();
  step.stage = Stage::kAttended;
}

// Of a decode step whose token is cached: with blocks as unit they go once the newest is full.
Stage Session::stage_after_full(bool is_full) const {
  if (!policy_->evicts_in(step_->layer)) return Stage::kFinish;
  if (policy_->unit() == EvictionUnit::kBlock) return is_full ? Stage::kScore : Stage::kFinish;
  const int64_t kv_len = layers_[static_cast<size_t>(step_->layer)].cache.table().kv_len();
  return policy_[step_->layer].tokens_over_budget(kv_len) > 0 ? Stage::kScore : Stage::kFinish;
}

std::optional<Event> Session::prefill_layer(const StopConditions& stop) {
  Step& step = *step_;
  if (step.cuts_waiting_layers) return cut_waiting_layer(stop);
  const bool cuts_first = config_.policy.prefill_attention == PrefillAttention::kEvicted;
  while (step.stage == Stage::kProject || step.stage == Stage::kProjected) {
    if (step.stage == Stage::kProject) project();
    if (std::optional<NanEvent> event = require_finite(stop)) return event;
    sum_prompt_attention();
    if (!cuts_first) {
      attend_prompt();
      finish_slice();
    }
    step.stage = begin_next_slice() ? Stage::kProject : Stage::kScore;
    if (step.stage == Stage::kScore) score_prompt();
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
    if (cuts_first) attend_cut_prompt();
    if (waits_for_all_layers()) {
      wait_for_all_layers();
    } else {
      page_prompt();
    }
    step.choices.clear();
    step.stage = Stage::kLayerEnd;
  }
  return end_layer(stop);
}

int64_t Session::slice_size() const { return std::min(kTokensPerPart, num_fed() - step_->slice_first); }

bool Session::begin_next_slice() {
  Step& step = *step_;
  const int64_t next = step.slice_first + slice_size();
  const bool is_over = next == num_fed();
  step.slice_first = is_over ? 0 : next;
  return !is_over;
}

void Session::project() {
  Step& step = *step_;
  const int64_t first = step.slice_first;
  const int64_t kv_row = int64_t{model_config().num_kv_heads} * model_config().head_dim;
  model_->project_qkv(step.layer, activations_.hidden.data() + first * model_config().hidden_size,
                      activations_.positions.data() + first, slice_size(), workspace_,
                      activations_.query.data(), activations_.key.data() + first * kv_row,
                      activations_.value.data() + first * kv_row);
  end_projection();
}

// Rounded here, keys and values are to every query and score what they will be in the cache: a prompt, its
// parts and single tokens come to the same.
void Session::end_projection() {
  const KvCache& cache = layers_[static_cast<size_t>(step_->layer)].cache;
  const int64_t kv_row = int64_t{model_config().num_kv_heads} * model_config().head_dim;
  for (std::vector<float>* numbers : {&activations_.key, &activations_.value})
    cache.round_numbers(numbers->data() + step_->slice_first * kv_row, slice_size() * kv_row);
  const int64_t query_size = int64_t{model_config().num_query_heads} * model_config().head_dim;
  std::copy_n(activations_.query.begin() + (slice_size() - 1) * query_size, query_size,
              next_queries_.begin() + query_size * step_->layer);
  step_->stage = Stage::kProjected;
}

std::optional<NanEvent> Session::require_finite(const StopConditions& stop) {
  model_->require_read_whole();
  const Step& step = *step_;
  const int64_t row = model_config().head_dim, num_heads = model_config().num_kv_heads;
  for (const bool in_key : {true, false}) {
    const float* const numbers =
        (in_key ? activations_.key : activations_.value).data() + step.slice_first * num_heads * row;
    const std::optional<int64_t> place = find_non_finite(numbers, slice_size() * num_heads * row);
    if (!place) continue;
    const auto token = static_cast<size_t>(step.slice_first + *place / row / num_heads);
    const NanEvent event{.step_index = step.index,
                         .layer = step.layer,
                         .in_key = in_key,
                         .position = activations_.positions[token],
                         .kv_head = static_cast<int>(*place / row % num_heads)};
    if (announces(stop.nan, stop)) return event;
    throw Error("ERR_OCTAVO_NAN", "Expected finite numbers but layer " + std::to_string(event.layer) +
                                      " made a " + (in_key ? "key" : "value") + " with " +
                                      std::to_string(numbers[*place]) + " at position " +
                                      std::to_string(event.position) + ", KV head " +
                                      std::to_string(event.kv_head) + "; the step was taken back");
  }
  return std::nullopt;
}

void Session::finish_layer(int64_t first_token) {
  Step& step = *step_;
  const LlamaConfig& config = model_config();
  const int64_t attention_row = int64_t{config.num_query_heads} * config.head_dim;
  model_->finish_layer(step.layer, attention_rows() + first_token * attention_row, num_fed() - first_token,
                       workspace_, activations_.hidden.data() + first_token * config.hidden_size);
  step.stage = Stage::kLayerEnd;
  step.choices.clear();
}

std::optional<Event> Session::end_layer(const StopConditions& stop) {
  Step& step = *step_;
  if (is_last_part() && announces(stop.layer_end, stop))
    return LayerEvent{.step_index = step.index, .layer = step.layer};
  ++step.layer;
  step.stage = Stage::kProject;
  step.num_shared_taken = 0;
  if (step.layer < model_config().num_layers) return std::nullopt;
  if (!is_last_part()) begin_next_part();
  if (!step.waiting_layers.empty()) begin_cut();
  return std::nullopt;
}

// Whether the step stops here: the first time only, so that the next advance goes past it.
bool Session::announces(bool wanted, const StopConditions& stop) {
  Step& step = *step_;
  const bool here = wanted && !step.announced && stop.layer.value_or(step.layer) == step.layer;
  step.announced = here;
  return here;
}

}  // namespace octavo
