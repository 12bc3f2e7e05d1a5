// The session's side of a step taken together with others. The step is the same resumable one: it only
// returns where the others' rows can share a product, so a sequence decodes to the same bits alone and in a
// batch.
#include <algorithm>

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
  const int64_t num_kept = is_cut ? policy_->prompt_tokens_kept(num_prompt) : num_prompt;
  return layers_[static_cast<size_t>(layer)].cache.num_blocks_needed(num_kept + num_tokens);
}

void Session::move_to(const std::vector<std::shared_ptr<KvArena>>& arenas) {
  for (size_t layer = 0; layer < layers_.size(); ++layer) layers_[layer].cache.move_to(arenas[layer]);
}

void Session::end() {
  roll_back_step();
  history_.clear();
  snapshots_.clear();
  prompt_.clear();
  for (Layer& layer : layers_) {
    layer.cache.clear();
    layer.slot_values = {};
    layer.moved_keys.clear();
    layer.slot_values_before_step = {};
  }
  activations_ = {};
  workspace_ = {};
  probabilities_ = {};
}

}  // namespace octavo
