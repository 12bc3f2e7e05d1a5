// What goes, between the choice and the drop: the step stops before it, a caller decides otherwise, and the
// record takes it.
#include <set>
#include <utility>

#include "core/check.h"
#include "session/session.h"

namespace octavo {

// One stop a choice: a layer's, or each head's in turn.
std::optional<Event> Session::announce_evictions(const StopConditions& stop) {
  Step& step = *step_;
  for (; step.next_choice < step.choices.size(); ++step.next_choice) {
    if (announces(stop.evict, stop)) return evict_event(step.next_choice);
  }
  return std::nullopt;
}

EvictEvent Session::evict_event(size_t index, bool with_candidates) const {
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
                   .candidates = {},
                   .candidate_scores = {}};
  if (with_candidates) {
    event.candidates = choice.candidates;
    event.candidate_scores = choice.candidate_scores;
  }
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

void Session::note_eviction(EvictEvent event, bool decided_by_user, bool freed) {
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
