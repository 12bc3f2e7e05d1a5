// The session's side of a step taken together with others. The step is the same resumable one: it only
// returns where the others' rows can share a product, so a sequence decodes to the same bits alone and in a
// batch.
#include <algorithm>

#include "cache/held_table_move.h"
#include "session/session.h"

namespace octavo {

void Session::begin_together(const AdvanceRequest& request) {
  check_request(request);
  size_t num_forced_used = 0;
  begin_step(request, num_forced_used);
  step_->together = true;
}

std::optional<Event> Session::run_together(const StopConditions& stop) {
  const std::atomic<bool> cancelled = false;
  return run_step(stop, cancelled);
}

SharedWork Session::waits_for() const {
  if (step_->layer == model_config().num_layers) return SharedWork::kLogits;
  if (step_->stage == Stage::kProject) return SharedWork::kProjections;
  return step_->stage == Stage::kFinish ? SharedWork::kAttention : SharedWork::kRestOfLayer;
}

void Session::go_on() {
  if (step_->stage == Stage::kProject) return end_projection();
  step_->stage = Stage::kLayerEnd;
  step_->choices.clear();
}

void Session::complete_together(double total_us) {
  step_->total_us = total_us;
  complete_step();
}

int64_t Session::num_blocks_needed(int64_t layer, int64_t num_tokens) const {
  const auto num_prompt = static_cast<int64_t>(prompt_.size());
  const bool is_cut = num_prompt > 0 && policy_->evicts_in(static_cast<int>(layer));
  const int64_t num_kept = is_cut ? policy_[layer].prompt_tokens_kept(num_prompt) : num_prompt;
  return layers_[static_cast<size_t>(layer)].cache.num_blocks_needed(num_kept + num_tokens);
}

int64_t Session::num_blocks_for_next_token(int64_t layer) const {
  const KvCache& cache = layers_[static_cast<size_t>(layer)].cache;
  return cache.num_blocks_needed(1, true) + num_copies_needed(static_cast<int>(layer));
}

void Session::move_to(const std::vector<std::shared_ptr<KvArena>>& arenas) {
  for (size_t layer = 0; layer < layers_.size(); ++layer) layers_[layer].cache.move_to(arenas[layer]);
}

double Session::move_checkpoints_out(const std::vector<std::shared_ptr<KvArena>>& arenas) {
  std::vector<std::shared_ptr<const Checkpoint>> there;
  const auto note = [&](const std::shared_ptr<const Checkpoint>& checkpoint) {
    const bool is_there = checkpoint->tables.front().arena() == arenas.front();
    if (is_there && std::count(there.begin(), there.end(), checkpoint) == 0) there.push_back(checkpoint);
  };
  for (const auto& checkpoint : history_) note(checkpoint);
  for (const auto& [id, snapshot] : snapshots_) note(snapshot.checkpoint);
  if (there.empty()) return 0;
  std::vector<std::vector<HeldTable>> tables(there.size());  // of each checkpoint [num_layers]
  double bytes = 0;
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    std::vector<const HeldTable*> of_layer;
    for (const auto& checkpoint : there) of_layer.push_back(&checkpoint->tables[layer]);
    std::vector<HeldTable> moved = moved_out(of_layer);
    bytes += moved.front().arena()->size_bytes();
    for (size_t i = 0; i < there.size(); ++i) tables[i].push_back(std::move(moved[i]));
  }
  std::map<std::shared_ptr<const Checkpoint>, std::shared_ptr<const Checkpoint>> moved;
  for (size_t i = 0; i < there.size(); ++i) moved[there[i]] = there[i]->with_tables(std::move(tables[i]));
  const auto replace = [&](std::shared_ptr<const Checkpoint>& checkpoint) {
    if (const auto found = moved.find(checkpoint); found != moved.end()) checkpoint = found->second;
  };
  for (auto& checkpoint : history_) replace(checkpoint);
  for (auto& [id, snapshot] : snapshots_) replace(snapshot.checkpoint);
  return bytes;
}

bool Session::shorten_history(const std::vector<std::shared_ptr<KvArena>>& arenas) {
  const auto found = std::find_if(history_.begin(), history_.end(), [&](const auto& checkpoint) {
    return checkpoint->tables.front().arena() == arenas.front();
  });
  if (found == history_.end()) return false;
  history_.erase(history_.begin(), found + 1);
  return true;
}

void Session::end() {
  roll_back_step();
  history_.clear();
  prompt_.clear();
  for (Layer& layer : layers_) {
    layer.cache.clear();
    layer.slot_values = {};
    layer.moved_keys.clear();
    layer.slot_values_before_step = {};
  }
  activations_ = {};
  workspace_ = {};
  numerators_ = {};
  logits_of_newest_ = {};
  probabilities_ = {};
}

}  // namespace octavo
