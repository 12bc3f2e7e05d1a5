// Snapshots, going back, forks. A checkpoint is made of what a completed step leaves; a step under way is
// taken back first, and taken again it comes to the same, because every choice is keyed by seed and step.
#include <algorithm>
#include <cstring>
#include <utility>

#include "core/check.h"
#include "session/session.h"

namespace octavo {

// The shape of `layers_` follows the parent's tables as of its last completed step.
Session::Session(const Session& parent, const ForkConfig& changes)
    : model_(parent.model_),
      config_(parent.config_),
      policy_(parent.policy_),
      prompt_(parent.prompt_),
      tokens_(parent.tokens_),
      num_tokens_(parent.num_tokens()),
      next_step_index_(parent.next_step_index_),
      attention_since_(parent.attention_since_),
      prompt_tokens_dropped_(parent.prompt_tokens_dropped_),
      log_sum_exp_(parent.log_sum_exp_),
      last_queries_(parent.last_queries_),
      next_queries_(parent.last_queries_),
      next_logits_(parent.next_logits_.size()) {
  if (changes.seed) config_.seed = *changes.seed;
  if (changes.policy) {
    config_.policy = *changes.policy;
    policy_ = LayerPolicies(config_.policy, config_.block_size, model_config().num_layers);
    if (policy_->heads() != parent.policy_->heads()) {
      throw Error("ERR_OCTAVO_ARGUMENT",
                  std::string("Expected heads ") +
                      (parent.policy_->heads() == Heads::kPerHead ? "per-head" : "shared") +
                      " for a fork's policy, as in its parent's cache, but received the other");
    }
  }
  logits_ = Tensor::zeros(DType::kF32, parent.logits_.shape);
  std::memcpy(logits_.data, parent.logits_.data, logits_.size_bytes());
  layers_.reserve(parent.layers_.size());
  for (size_t index = 0; index < parent.layers_.size(); ++index) {
    const Layer& layer = parent.layers_[index];
    layers_.emplace_back(KvCache(layer.cache.hold()));
    layers_[index].num_nan_scores = parent.step_ ? layer.num_nan_scores_before_step : layer.num_nan_scores;
    layers_[index].slot_values = parent.step_ ? layer.slot_values_before_step : layer.slot_values;
    layers_[index].moved_keys = parent.step_ ? layer.moved_keys_before_step : layer.moved_keys;
  }
  if (changes.policy) {  // its scores are not the parent's
    require_parallel_layers();
    attention_since_ = static_cast<int64_t>(tokens_.size());
    for (size_t index = 0; index < layers_.size(); ++index) {
      Layer& layer = layers_[index];
      KvCache& cache = layer.cache;
      layer.num_nan_scores = 0;
      layer.slot_values.clear();
      if (policy_->positions() == Positions::kOriginal) {
        restore_positions(layer);
      } else {
        reassign_positions(layer, static_cast<int64_t>(tokens_.size()) - 1);
      }
      // Attention is summed up from here on: what earlier queries gave is not known.
      if (sums_attention(static_cast<int>(index))) {
        layer.slot_values.assign(static_cast<size_t>(cache.table().num_slots() * num_choosers()), 0.0F);
      } else if (keeps_slot_values(static_cast<int>(index))) {
        score_slots_by_norms(layer);
      }
      for (int block = 0; block < cache.table().num_blocks(); ++block) {
        cache.set_score(block, BlockTable::kNoScore);
        const bool is_full = cache.table().filled(block) == config_.block_size;
        if (is_full && policy_->evidence() == Evidence::kNorms) score_block(static_cast<int>(index), block);
      }
      cache.commit_step();
    }
  }
  recorder_.set_next_eviction_id(parent.recorder_.next_eviction_id());
  state_id_ = next_state_id_++;
  note_history();
}

std::unique_ptr<Session> Session::fork(const ForkConfig& changes) const {
  return std::unique_ptr<Session>(new Session(*this, changes));
}

std::shared_ptr<const Checkpoint> Session::checkpoint() const {
  if (!history_.empty() && history_.back()->state_id == state_id_) return history_.back();
  Checkpoint made{.state_id = state_id_,
                  .tables = {},
                  .num_nan_scores = {},
                  .slot_values = {},
                  .moved_keys = {},
                  .queries = last_queries_,
                  .logits = {logits_.f32(), logits_.f32() + logits_.num_elements()},
                  .log_sum_exp = log_sum_exp_,
                  .next_step_index = next_step_index_,
                  .num_tokens = static_cast<int64_t>(tokens_.size()),
                  .attention_since = attention_since_,
                  .prompt_tokens_dropped = prompt_tokens_dropped_,
                  .next_eviction_id = recorder_.next_eviction_id()};
  made.tables.reserve(layers_.size());
  for (const Layer& layer : layers_) {
    made.tables.push_back(layer.cache.hold());
    made.num_nan_scores.push_back(step_ ? layer.num_nan_scores_before_step : layer.num_nan_scores);
    made.slot_values.push_back(step_ ? layer.slot_values_before_step : layer.slot_values);
    made.moved_keys.push_back(step_ ? layer.moved_keys_before_step : layer.moved_keys);
  }
  return std::make_shared<const Checkpoint>(std::move(made));
}

void Session::note_history() {
  if (config_.history == 0 || next_step_index_ == 0) return;
  history_.push_back(checkpoint());
  while (static_cast<int64_t>(history_.size()) > config_.history + 1) history_.pop_front();
}

int64_t Session::take_snapshot() {
  snapshots_.emplace(next_snapshot_id_, Snapshot{checkpoint(), tokens_});
  return next_snapshot_id_++;
}

void Session::drop_snapshot(int64_t id) {
  if (snapshots_.erase(id) == 0) {
    throw Error("ERR_OCTAVO_SNAPSHOT", "Expected a snapshot that is kept but " + std::to_string(id) +
                                           " was released or never taken");
  }
}

void Session::rewind_to_snapshot(int64_t id) {
  const auto found = snapshots_.find(id);
  if (found == snapshots_.end()) {
    throw Error("ERR_OCTAVO_SNAPSHOT", "Expected a snapshot that is kept but " + std::to_string(id) +
                                           " was released or never taken");
  }
  const Snapshot& snapshot = found->second;
  restore(*snapshot.checkpoint);
  tokens_ = snapshot.tokens;
  // Steps of the history lead to the snapshot if its own state is among them; otherwise they are of another
  // line.
  while (!history_.empty() && history_.back()->state_id != state_id_) history_.pop_back();
  if (history_.empty()) note_history();
}

void Session::rewind(RewindUnit unit, int64_t count) {
  if (count == 0) return clear();
  const auto count_of = [unit](const Checkpoint& checkpoint) {
    return unit == RewindUnit::kTokens ? checkpoint.num_tokens : checkpoint.next_step_index;
  };
  const bool is_here =
      next_step_index_ > 0 &&
      count == (unit == RewindUnit::kTokens ? static_cast<int64_t>(tokens_.size()) : next_step_index_);
  if (is_here) return roll_back_step();
  const auto found = std::find_if(history_.begin(), history_.end(),
                                  [&](const auto& checkpoint) { return count_of(*checkpoint) == count; });
  if (found == history_.end()) {
    const std::string what = unit == RewindUnit::kTokens ? " tokens" : " steps";
    const std::string reach = history_.empty() ? "keeps none"
                                               : "has " + std::to_string(count_of(*history_.front())) +
                                                     " to " + std::to_string(count_of(*history_.back()));
    throw Error("ERR_OCTAVO_HISTORY", "Expected a history with a step that ends at " + std::to_string(count) +
                                          what + " but it " + reach +
                                          "; give the session a larger history or take a snapshot there");
  }
  restore(**found);
  history_.erase(found + 1, history_.end());
}

std::vector<int32_t> Session::rewind_points() const {
  std::vector<int32_t> points;
  for (const auto& checkpoint : history_) points.push_back(static_cast<int32_t>(checkpoint->num_tokens));
  if (points.empty() && next_step_index_ > 0) points.push_back(static_cast<int32_t>(tokens_.size()));
  return points;
}

void Session::restore(const Checkpoint& checkpoint) {
  roll_back_step();
  prompt_.clear();
  for (size_t index = 0; index < layers_.size(); ++index) {
    layers_[index].cache.restore(checkpoint.tables[index]);
    layers_[index].num_nan_scores = checkpoint.num_nan_scores[index];
    layers_[index].slot_values = checkpoint.slot_values[index];
    layers_[index].moved_keys = checkpoint.moved_keys[index];
  }
  tokens_.resize(
      static_cast<size_t>(std::min<int64_t>(checkpoint.num_tokens, static_cast<int64_t>(tokens_.size()))));
  num_tokens_.store(checkpoint.num_tokens, std::memory_order_relaxed);
  next_step_index_ = checkpoint.next_step_index;
  attention_since_ = checkpoint.attention_since;
  prompt_tokens_dropped_ = checkpoint.prompt_tokens_dropped;
  std::copy(checkpoint.logits.begin(), checkpoint.logits.end(), logits_.f32());
  log_sum_exp_ = checkpoint.log_sum_exp;
  last_queries_ = checkpoint.queries;
  state_id_ = checkpoint.state_id;
  recorder_.set_next_eviction_id(checkpoint.next_eviction_id);
}

void Session::clear() {
  roll_back_step();
  prompt_.clear();
  for (Layer& layer : layers_) {
    layer.cache.clear();
    layer.num_nan_scores = 0;
    layer.slot_values.clear();
    layer.moved_keys.clear();
  }
  tokens_.clear();
  num_tokens_.store(0, std::memory_order_relaxed);
  next_step_index_ = 0;
  attention_since_ = 0;
  prompt_tokens_dropped_ = 0;
  state_id_ = 0;
  history_.clear();
  recorder_.set_next_eviction_id(0);
}

std::vector<float> Session::attention_pattern(int64_t layer) const {
  const KvCache& cache = layer_cache(layer);
  const bool under_way =
      step_ && (step_->layer > layer || (step_->layer == layer && step_->stage > Stage::kProjected));
  const int64_t num_dropped = under_way ? step_->prompt_tokens_dropped : prompt_tokens_dropped_;
  if (next_step_index_ == 0 && !under_way) {
    throw Error("ERR_OCTAVO_PATTERN",
                "Expected a completed step before an attention pattern but there was none");
  }
  if (cache.table().kv_len() == 0) {
    throw Error("ERR_OCTAVO_PATTERN",
                "Expected a layer whose prompt is paged before an attention pattern but layer " +
                    std::to_string(layer) + " waits for the scores of all layers");
  }
  if (num_dropped > 0) {
    throw Error("ERR_OCTAVO_PATTERN",
                "Expected a decode step before an attention pattern but the last one was a "
                "prefill that dropped tokens, which it had attended to");
  }
  const LlamaConfig& config = model_config();
  const size_t query_size = static_cast<size_t>(config.num_query_heads) * config.head_dim;
  const std::vector<float>& queries = under_way ? next_queries_ : last_queries_;
  return pattern_of(cache, queries.data() + query_size * static_cast<size_t>(layer),
                    cache.table().num_slots());
}

}  // namespace octavo
