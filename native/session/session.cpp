// The loop over steps. All that can be checked is checked before a step begins; what only shows while it runs
// (NaN, weights that are gone) takes the step back. Rows reach the trace when a step completes, so a step
// taken back leaves none.
#include "session/session.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "core/check.h"
#include "ops/argmax_simd.h"
#include "session/distribution.h"
#include "session/stopwatch.h"

namespace octavo {

namespace {

void require_tokens(const std::vector<int32_t>& tokens, int vocab_size) {
  for (size_t index = 0; index < tokens.size(); ++index) {
    if (tokens[index] < 0 || tokens[index] >= vocab_size) {
      throw Error("ERR_OCTAVO_TOKEN", "Expected token ids from 0 to " + std::to_string(vocab_size - 1) +
                                          " but received " + std::to_string(tokens[index]) + " at index " +
                                          std::to_string(index));
    }
  }
}

LayerPolicies policies_of(const SessionConfig& config, int num_layers) {
  if (config.block_size < 1 || config.block_size > 256) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected 1 to 256 for blockSize but received " + std::to_string(config.block_size));
  }
  return {config.policy, config.block_size, num_layers};
}

}  // namespace

Session::Session(std::shared_ptr<const LlamaModel> model, const SessionConfig& config,
                 const std::vector<std::shared_ptr<KvArena>>& arenas)
    : model_(std::move(model)), config_(config), policy_(policies_of(config, model_->config().num_layers)) {
  const LlamaConfig& model_config = model_->config();
  const KvCacheShape shape{.num_blocks = config.num_blocks,
                           .num_kv_heads = model_config.num_kv_heads,
                           .block_size = config.block_size,
                           .head_dim = model_config.head_dim,
                           .per_head = policy_->heads() == Heads::kPerHead,
                           .dtype = config.kv_dtype};
  layers_.reserve(static_cast<size_t>(model_config.num_layers));
  for (int layer = 0; layer < model_config.num_layers; ++layer) {
    layers_.emplace_back(arenas.empty() ? KvCache(shape) : KvCache(arenas[static_cast<size_t>(layer)]));
  }
  logits_ = Tensor::zeros(DType::kF32, {model_config.vocab_size});
  next_logits_.resize(static_cast<size_t>(model_config.vocab_size));
  last_queries_.resize(static_cast<size_t>(model_config.num_layers) * model_config.num_query_heads *
                       model_config.head_dim);
  next_queries_ = last_queries_;
}

void Session::prefill(std::vector<int32_t> tokens) {
  if (next_step_index_ > 0 || step_) {
    throw Error("ERR_OCTAVO_PREFILL", "Expected an empty session for prefill but this one has seen " +
                                          std::to_string(num_tokens()) +
                                          " tokens; append more with feed(), or open another session");
  }
  if (tokens.empty())
    throw Error("ERR_OCTAVO_TOKEN", "Expected at least one token for prefill but received none");
  require_tokens(tokens, model_config().vocab_size);
  require_position(static_cast<int64_t>(tokens.size()));
  prompt_ = std::move(tokens);
}

AdvanceResult Session::advance(const AdvanceRequest& request, const std::atomic<bool>& cancelled) {
  check_request(request);
  if (request.decision) decide(*request.decision);
  AdvanceResult result{.reason = StopReason::kSteps, .num_steps = 0, .token = {}, .event = {}};
  size_t num_forced_used = 0;
  while (result.num_steps < request.max_steps) {
    if (cancelled.load(std::memory_order_relaxed)) {
      result.reason = StopReason::kCancelled;
      return result;
    }
    if (!step_) begin_step(request, num_forced_used);
    try {
      result.event = run_step(request.stop, cancelled);
      if (result.event) {
        result.reason = StopReason::kEvent;
        return result;
      }
      if (step_->layer < model_config().num_layers) continue;  // cancelled
      const bool sampled = step_->phase == Phase::kDecode && !step_->forced;
      const int32_t token = step_->tokens.back();
      complete_step();
      ++result.num_steps;
      if (sampled && std::count(request.end_tokens.begin(), request.end_tokens.end(), token) > 0) {
        result.reason = StopReason::kEndToken;
        result.token = token;
        return result;
      }
    } catch (...) {
      roll_back_step();
      throw;
    }
  }
  return result;
}

const Tensor& Session::logits() const {
  if (next_step_index_ == 0) {
    throw Error("ERR_OCTAVO_PREFILL", "Expected a completed step before logits but there was none");
  }
  return logits_;
}

const KvCache& Session::layer_cache(int64_t layer) const {
  if (layer < 0 || layer >= static_cast<int64_t>(layers_.size())) {
    throw Error("ERR_OCTAVO_ARGUMENT", "Expected a layer from 0 to " + std::to_string(layers_.size() - 1) +
                                           " but received " + std::to_string(layer));
  }
  return layers_[static_cast<size_t>(layer)].cache;
}

LayerState Session::layer_state(int64_t layer) const {
  const KvCache& cache = layer_cache(layer);
  LayerState state{.block_ids = cache.table().block_ids(),
                   .filled = {},
                   .dead_slots = {},
                   .scores = {},
                   .ref_counts = {},
                   .kv_len = cache.table().kv_len(),
                   .num_free_blocks = cache.pool_counts().num_free,
                   .num_parked_blocks = cache.pool_counts().num_parked};
  for (int logical_index = 0; logical_index < cache.table().num_blocks(); ++logical_index) {
    const int32_t block_id = cache.table().block_id(logical_index);
    state.filled.push_back(cache.table().filled(logical_index));
    state.scores.push_back(cache.table().score(logical_index));
    state.ref_counts.push_back(cache.ref_count(block_id));
  }
  for (int64_t slot = 0; cache.table().has_holes() && slot < cache.table().num_slots(); ++slot) {
    if (cache.table().is_dead(slot)) state.dead_slots.push_back(static_cast<int32_t>(slot));
  }
  return state;
}

void Session::check_request(const AdvanceRequest& request) const {
  if (request.max_steps < 0) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected at least 0 for maxSteps but received " + std::to_string(request.max_steps));
  }
  check_sampling(request.sampling);
  require_tokens(request.forced_tokens, model_config().vocab_size);
  if (request.stop.layer) layer_cache(*request.stop.layer);
}

void Session::begin_step(const AdvanceRequest& request, size_t& num_forced_used) {
  Step step;
  step.index = next_step_index_;
  step.phase = prompt_.empty() ? Phase::kDecode : Phase::kPrefill;
  step.tokens = prompt_;
  step.first_position = static_cast<int64_t>(tokens_.size());
  if (step.phase == Phase::kDecode && next_step_index_ == 0) {
    throw Error("ERR_OCTAVO_PREFILL", "Expected a prefill before the first step but the session is empty");
  }
  const int64_t num_new_tokens = step.phase == Phase::kPrefill ? static_cast<int64_t>(prompt_.size()) : 1;
  require_position(num_new_tokens);
  require_blocks(num_new_tokens);
  int64_t num_listed =
      num_new_tokens + (config_.record_logits ? model_config().vocab_size
                                              : 0);  // values that one list column may gain in this step
  for (const Layer& layer : layers_) {
    num_listed += (layer.cache.table().allocated_tokens() + num_new_tokens) * num_choosers();
  }
  recorder_.require_room(num_listed);

  if (step.phase == Phase::kDecode) {
    step.forced = num_forced_used < request.forced_tokens.size();
    const int32_t token = step.forced
                              ? request.forced_tokens[num_forced_used]
                              : sample_token(logits_.f32(), model_config().vocab_size, request.sampling,
                                             config_.seed, static_cast<uint32_t>(step.index));
    step.tokens = {token};
    step.token_logprob = static_cast<float>(logits_.f32()[token] - log_sum_exp_);
  } else {
    step.token_logprob = std::numeric_limits<float>::quiet_NaN();
  }

  // Who watches layers end sees them end one by one.
  step.in_parts = num_new_tokens > kTokensPerPart && keeps_whole(num_new_tokens) && !request.stop.layer_end;
  const int64_t num_fed = step.in_parts ? kTokensPerPart : num_new_tokens;
  size_activations(step.first_position, num_fed);
  for (Layer& layer : layers_) {
    layer.cache.reserve_undo(num_new_tokens);
    layer.num_nan_scores_before_step = layer.num_nan_scores;
    layer.slot_values_before_step = layer.slot_values;
    layer.moved_keys_before_step = layer.moved_keys;
  }
  if (step.forced) ++num_forced_used;
  step_ = std::move(step);
}

void Session::size_activations(int64_t first_position, int64_t count) {
  const LlamaConfig& config = model_config();
  const auto num_tokens = static_cast<size_t>(count);
  activations_.hidden.resize(num_tokens * config.hidden_size);
  const size_t num_at_once = std::min(num_tokens, static_cast<size_t>(kTokensPerPart));
  activations_.query.resize(num_at_once * config.num_query_heads * config.head_dim);
  activations_.key.resize(num_tokens * config.num_kv_heads * config.head_dim);
  activations_.value.resize(num_tokens * config.num_kv_heads * config.head_dim);
  activations_.attention.resize(num_tokens == 1 ? activations_.query.size() : 0);
  activations_.positions.resize(num_tokens);
  std::iota(activations_.positions.begin(), activations_.positions.end(), first_position);
}

void Session::require_position(int64_t num_new_tokens) const {
  const int64_t needed = static_cast<int64_t>(tokens_.size()) + num_new_tokens;
  // Reassigned, no key is further away in decode than the cache is long.
  const bool is_free = policy_->positions() == Positions::kReassigned && !tokens_.empty();
  if (needed > (is_free ? int64_t{std::numeric_limits<int32_t>::max()} : model_config().max_positions)) {
    throw Error("ERR_OCTAVO_POSITION", "Expected at most maxPositions (" +
                                           std::to_string(model_config().max_positions) + ") tokens but " +
                                           std::to_string(needed) + " would have been seen");
  }
}

// Blocks of a layer that a decode step may have to copy before it writes into them, beside the newest.
int64_t Session::num_copies_needed(int layer) const {
  const KvCache& cache = layers_[static_cast<size_t>(layer)].cache;
  const BlockTable& table = cache.table();
  const bool may_drop =
      prompt_.empty() && policy_->unit() == EvictionUnit::kToken && policy_->evicts_in(layer);
  const int64_t num_dropped = may_drop ? policy_[layer].tokens_over_budget(table.kv_len() + 1) : 0;
  const bool moves_keys = policy_->positions() == Positions::kReassigned && prompt_.empty();
  if ((num_dropped == 0 && !moves_keys) || !cache.shares_blocks()) return 0;
  const auto num_moved = static_cast<int64_t>(layers_[static_cast<size_t>(layer)].moved_keys.size());
  const int64_t num_moved_blocks =
      moves_keys ? std::min<int64_t>(table.num_blocks(), num_moved / config_.block_size + 1) : 0;
  if (num_dropped == 0) return num_moved_blocks;
  const int64_t num_holes = table.num_slots() - table.kv_len() + num_dropped;
  switch (policy_->holes()) {
    case Holes::kMask:
      return num_moved_blocks;
    case Holes::kRecycle:
      if (!table.has_holes()) {
        return std::min<int64_t>(table.num_blocks(), num_dropped * num_choosers() + num_moved_blocks);
      }
      [[fallthrough]];
    case Holes::kCompact:
      break;
  }
  return num_holes < config_.block_size ? num_moved_blocks : table.num_blocks();
}

// Snapshots of the history make way, the oldest first, when a pool has nothing else left.
void Session::require_blocks(int64_t num_new_tokens) {
  const bool is_prefill = !prompt_.empty();
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    const KvCache& cache = layers_[layer].cache;
    const bool is_cut = is_prefill && policy_->evicts_in(static_cast<int>(layer));
    const int64_t num_kept = is_cut ? policy_[layer].prompt_tokens_kept(num_new_tokens) : num_new_tokens;
    const auto blocks_needed = [&] {
      return cache.num_blocks_needed(num_kept) + num_copies_needed(static_cast<int>(layer));
    };
    while (!history_.empty() && blocks_needed() > cache.pool_counts().num_free) history_.pop_front();
    const int64_t num_needed = blocks_needed();
    const PoolCounts pool = cache.pool_counts();
    if (num_needed > pool.num_free) {
      const std::string parked =
          pool.num_parked == 0 ? "" : ", " + std::to_string(pool.num_parked) + " of them by snapshots only";
      throw Error("ERR_OCTAVO_POOL_EXHAUSTED",
                  "Expected " + std::to_string(num_needed) +
                      (num_needed == 1 ? " free block" : " free blocks") + " for this step in layer " +
                      std::to_string(layer) + " but " + std::to_string(pool.num_blocks - pool.num_free) +
                      " of its " + std::to_string(pool.num_blocks) + " are in use" + parked +
                      "; give a larger numBlocks or a policy with a smaller budget");
    }
  }
}

std::optional<Event> Session::run_step(const StopConditions& stop, const std::atomic<bool>& cancelled) {
  const Stopwatch stopwatch(step_->total_us);
  while (step_->layer < model_config().num_layers) {
    if (step_->layer == 0 && step_->stage == Stage::kProject) {
      model_->embed(step_->tokens.data() + step_->part_first, num_fed(), activations_.hidden.data());
    }
    std::optional<Event> event = step_->in_parts                   ? prefill_part(stop)
                                 : step_->phase == Phase::kPrefill ? prefill_layer(stop)
                                                                   : decode_layer(stop);
    if (event) return event;
    if (step_->together) break;
    if (cancelled.load(std::memory_order_relaxed)) break;
  }
  return std::nullopt;
}

void Session::complete_step() {
  const LlamaConfig& config = model_config();
  Distribution distribution{};
  {
    const Stopwatch stopwatch(step_->total_us);
    const float* last_hidden = activations_.hidden.data() + activations_.hidden.size() - config.hidden_size;
    if (!step_->together) model_->logits(last_hidden, workspace_, next_logits_.data());
    model_->require_unchanged();
    // All at once first: a vocabulary takes a while one by one.
    const bool all_finite =
        OCTAVO_PICK_SIMD(argmax_kernels).find(next_logits_.data(), config.vocab_size).all_finite;
    for (int token = 0; !all_finite && token < config.vocab_size; ++token) {
      if (!std::isfinite(next_logits_[static_cast<size_t>(token)])) {
        throw Error("ERR_OCTAVO_NAN", "Expected finite logits but that of token " + std::to_string(token) +
                                          " is " + std::to_string(next_logits_[static_cast<size_t>(token)]) +
                                          " after position " + std::to_string(activations_.positions.back()) +
                                          "; the step was taken back");
      }
    }
    distribution = distribution_of(next_logits_.data(), config.vocab_size, probabilities_);
  }
  tokens_.insert(tokens_.end(), step_->tokens.begin(), step_->tokens.end());
  for (Layer& layer : layers_) layer.cache.commit_step();
  record_step(static_cast<float>(distribution.entropy));
  std::memcpy(logits_.data, next_logits_.data(), logits_.size_bytes());
  log_sum_exp_ = distribution.log_sum_exp;
  num_tokens_.store(static_cast<int64_t>(tokens_.size()), std::memory_order_relaxed);
  prompt_.clear();
  ++next_step_index_;
  std::swap(last_queries_, next_queries_);
  prompt_tokens_dropped_ = step_->prompt_tokens_dropped;
  state_id_ = next_state_id_++;
  if (step_->phase ==
      Phase::kPrefill) {  // a long prompt's activations are not kept for the single tokens to come
    activations_ = {};
    workspace_ = {};
  }
  step_.reset();
  note_history();
}

void Session::roll_back_step() {
  if (!step_) return;
  for (Layer& layer : layers_) {
    layer.cache.roll_back();
    layer.num_nan_scores = layer.num_nan_scores_before_step;
    layer.slot_values = layer.slot_values_before_step;
    layer.moved_keys = layer.moved_keys_before_step;
  }
  logits_of_newest_.clear();
  step_.reset();
}

}  // namespace octavo
