// One decision for all layers. In decode it is made in layer 0, before any layer is cut, so the attention of
// that step runs on the cut cache in every layer; a mean over layers takes scores of what was cached before
// the step, since later layers do not have its token yet. A prompt is cut once all its layers are scored.
#include <unordered_map>
#include <utility>

#include "core/check.h"
#include "evict/scope.h"
#include "session/session.h"
#include "session/stopwatch.h"

namespace octavo {

// Age and chance have no scores to take a mean of: layer 0's choice is as good as any.
bool Session::means_over_layers() const {
  return shares_choices() && config_.policy.shared != SharedBy::kLayer0 &&
         policy_->evidence() != Evidence::kNone;
}

// Layers that have no part in the decision are spared the scores.
bool Session::scores_layer(int layer) const {
  return layer == 0 || config_.policy.shared != SharedBy::kLayer0;
}

bool Session::sums_attention(int layer) const { return policy_->sums_attention() && scores_layer(layer); }

// A place in the table means the same in all layers only where they hold equally much.
void Session::require_parallel_layers() const {
  if (!shares_choices()) return;
  const int64_t expected = layers_.front().cache.table().kv_len();
  for (size_t layer = 1; layer < layers_.size(); ++layer) {
    const int64_t kv_len = layers_[layer].cache.table().kv_len();
    if (kv_len == expected) continue;
    throw Error("ERR_OCTAVO_POLICY",
                "Expected equally many tokens in all layers for a shared scope but layer 0 holds " +
                    std::to_string(expected) + " and layer " + std::to_string(layer) + " " +
                    std::to_string(kv_len));
  }
  if (policy_->unit() != EvictionUnit::kToken) return;
  // A token goes by its position, from the same slot of every layer.
  const KvCache& first = layers_.front().cache;
  for (int64_t slot = 0; slot < first.table().num_slots(); ++slot)
    for (const Layer& layer : layers_) {
      const BlockTable& table = layer.cache.table();
      if (table.num_slots() == first.table().num_slots() &&
          table.is_dead(slot) == first.table().is_dead(slot) &&
          (table.is_dead(slot) || layer.cache.slot_position(slot, 0) == first.slot_position(slot, 0)))
        continue;
      throw Error(
          "ERR_OCTAVO_POLICY",
          "Expected the same tokens in all layers for a shared scope with granularity token but slot " +
              std::to_string(slot) + " holds different ones");
    }
}

// In layer 0, whose newest block is full. Norms of a block do not change, so only the newest lacks its score,
// in whatever layer stands; all else is scored anew in every layer.
void Session::score_layers() {
  Step& step = *step_;
  const Evidence evidence = policy_->evidence();
  if (evidence == Evidence::kNorms) {
    score_block(step.layer, layers_[static_cast<size_t>(step.layer)].cache.table().num_blocks() - 1);
  }
  if (step.layer > 0) return;
  for (size_t index = 0; index < layers_.size(); ++index) {
    const std::vector<float> scores = scores_before_step(index);
    if (!scores.empty()) set_block_scores(layers_[index], scores);
  }
  gather_layer_scores();
}

// Of a layer's slots, as layer 0 decides: [num_slots], without the newest slot of layer 0 where that has no
// part in its own score. Empty for evidence that is kept with blocks.
std::vector<float> Session::scores_before_step(size_t index) const {
  const Layer& layer = layers_[index];
  const size_t query_size = static_cast<size_t>(model_config().num_query_heads) * model_config().head_dim;
  const int64_t num_slots = layer.cache.table().num_slots() - (index == 0 ? 1 : 0);
  std::vector<float> scores;
  switch (policy_->evidence()) {
    case Evidence::kNorms:
      return layer.slot_values;
    case Evidence::kKeys:
      return distinctness_of_live_keys(layer.cache, num_slots);
    case Evidence::kLastQuery:
      return attention_mass_of(layer.cache, last_queries_.data() + query_size * index, num_slots);
    case Evidence::kAttentionMass:
      break;
    case Evidence::kNone:
    case Evidence::kPromptQueries:
    case Evidence::kCaller:
      return {};
  }
  scores_of_mass(layer, scores);
  return scores;
}

// In layer 0. Of the newest token, which later layers do not have yet, no score counts: it is protected.
void Session::score_tokens_of_layers() {
  Step& step = *step_;
  step.layer_scores.clear();
  if (step.layer > 0) return;
  const auto num_slots = static_cast<size_t>(layers_.front().cache.table().num_slots());
  for (size_t index = 0; index < layers_.size(); ++index) {
    step.layer_scores.push_back(scores_before_step(index));
    step.layer_scores.back().resize(num_slots, BlockTable::kNoScore);
  }
}

void Session::gather_layer_scores() {
  const auto num_blocks = static_cast<size_t>(layers_.front().cache.table().num_blocks());
  step_->layer_scores.clear();
  for (const Layer& layer : layers_) {
    step_->layer_scores.push_back(layer.cache.table().scores());
    step_->layer_scores.back().resize(num_blocks, BlockTable::kNoScore);
  }
}

// In layer 0.
std::optional<Choice> Session::choose_shared_block() {
  Step& step = *step_;
  TableView table = table_view();
  if (step.layer_scores.empty()) return policy_[step.layer].choose_block(table);
  return choose_by_all_layers(*config_.policy.shared, step.layer_scores, [&](const float* scores) {
    table.scores = scores;
    return policy_[step.layer].choose_block(table);
  });
}

// In layer 0. What the layers' scores come to stays as the scores of its slots, for what is decided next.
std::optional<Choice> Session::choose_shared_cached_tokens(const CacheView& slots, int64_t num_dropped) {
  Step& step = *step_;
  std::vector<int32_t> positions;                                    // of the live tokens
  std::vector<size_t> slot_of;                                       // the same
  std::vector<std::vector<float>> scores(step.layer_scores.size());  // [num_layers][live tokens]
  std::unordered_map<int32_t, size_t> place_of;
  for (size_t slot = 0; slot < slots.positions.size(); ++slot) {
    const int32_t position = slots.positions[slot];
    if (position < 0) continue;
    place_of[position] = positions.size();
    positions.push_back(position);
    slot_of.push_back(slot);
    for (size_t layer = 0; layer < scores.size(); ++layer)
      scores[layer].push_back(step.layer_scores[layer][slot]);
  }
  CacheView live = slots;
  live.positions = positions;
  live.lists_candidates = true;  // scores are reduced over these
  std::vector<float> reduced(positions.size());
  const auto choose = [&](const float* of_places) {
    reduced.assign(of_places, of_places + positions.size());
    live.scores = reduced;
    return policy_[step.layer].choose_cached_tokens(live, num_dropped);
  };
  const std::optional<Choice> choice = choose_by_all_layers(
      *config_.policy.shared, scores, choose, [&](int32_t position) { return place_of.at(position); });
  step.token_scores.assign(step.layer_scores.front().size(), BlockTable::kNoScore);
  for (size_t place = 0; place < positions.size(); ++place)
    step.token_scores[slot_of[place]] = reduced[place];
  step.layer_scores.clear();
  return choice;
}

// What layer 0 dropped next, in a layer beyond it.
void Session::take_shared_choices() {
  Step& step = *step_;
  if (step.num_shared_taken < step.shared_choices.size())
    step.choices = step.shared_choices[step.num_shared_taken++];
}

// Of layer 0, which has just carried them out.
void Session::share_choices() {
  Step& step = *step_;
  for (std::vector<float>& scores : step.layer_scores)
    scores.erase(scores.begin() + step.choices.front().choice.dropped.front());
  step.shared_choices.push_back(step.choices);
}

void Session::choose_shared_tokens() {
  Step& step = *step_;
  if (waits_for_all_layers()) return;
  if (step.layer == 0) {
    choose_tokens_here();
    if (!step.choices.empty()) step.shared_choices.push_back(step.choices);
  } else if (!step.shared_choices.empty()) {
    step.choices = step.shared_choices.front();
  }
}

bool Session::waits_for_all_layers() const {
  const auto num_tokens = static_cast<int64_t>(step_->tokens.size());
  return means_over_layers() && policy_[step_->layer].prompt_tokens_kept(num_tokens) < num_tokens;
}

void Session::wait_for_all_layers() {
  Step& step = *step_;
  step.waiting_layers.push_back({.key = activations_.key,
                                 .value = activations_.value,
                                 .token_scores = std::move(step.token_scores),
                                 .token_mass = std::move(step.token_mass)});
}

// All layers are computed; from here on they are cut and paged, one after the other.
void Session::begin_cut() {
  Step& step = *step_;
  const Stopwatch stopwatch(step.evict_us);
  step.layer = 0;
  step.stage = Stage::kEvict;
  step.cuts_waiting_layers = true;
  std::vector<std::vector<float>> scores;
  for (const WaitingLayer& layer : step.waiting_layers) scores.push_back(layer.token_scores);
  const auto choose = [&](const float* reduced) {
    return policy_[step.layer].choose_tokens(prompt_view(reduced, {}));
  };
  const std::optional<Choice> choice = choose_by_all_layers(*config_.policy.shared, scores, choose);
  step.shared_choices.push_back({{.choice = choice.value()}});
}

std::optional<Event> Session::cut_waiting_layer(const StopConditions& stop) {
  Step& step = *step_;
  if (step.choices.empty()) {
    step.choices = step.shared_choices.front();
    step.next_choice = 0;
  }
  if (step.stage == Stage::kEvict) {
    if (std::optional<Event> event = announce_evictions(stop)) return event;
    step.stage = Stage::kFinish;
  }
  WaitingLayer& waiting = step.waiting_layers[static_cast<size_t>(step.layer)];
  activations_.key = std::move(waiting.key);
  activations_.value = std::move(waiting.value);
  step.token_scores = std::move(waiting.token_scores);
  step.token_mass = std::move(waiting.token_mass);
  page_prompt();
  step.choices.clear();
  step.stage = Stage::kEvict;
  ++step.layer;
  return std::nullopt;
}

}  // namespace octavo
