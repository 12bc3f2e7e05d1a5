// Time travel of a batch's sequences. A sequence that goes elsewhere leaves the step under way, which the
// others go on with, and takes part again from the next one; it is swapped out as long as its blocks are not
// in the pools.
#include <cmath>
#include <limits>
#include <utility>

#include "core/check.h"
#include "session/batch.h"

namespace octavo {

namespace {

constexpr const char* kStateNames[] = {"waiting", "running", "swapped", "finished", "cancelled", "failed"};

}  // namespace

Batch::SequencePointer Batch::find_sequence(int64_t id) {
  take_inbox();
  const std::lock_guard lock(inbox_mutex_);
  return sequence_at(id);
}

// One that has a completed step and goes on from it.
Batch::SequencePointer Batch::find_standing(int64_t id) {
  const SequencePointer sequence = find_sequence(id);
  if (sequence->state > SequenceState::kSwapped) {
    throw Error("ERR_OCTAVO_BATCH", "Expected a sequence that goes on but sequence " + std::to_string(id) +
                                        " is " + kStateNames[static_cast<size_t>(sequence->state)] +
                                        "; rewind it to a snapshot first");
  }
  if (sequence->session->next_step_index() == 0) {
    throw Error("ERR_OCTAVO_PREFILL", "Expected a sequence whose prompt is computed but that of sequence " +
                                          std::to_string(id) + " is not; run the batch until it is let in");
  }
  return sequence;
}

int64_t Batch::take_snapshot(int64_t id) { return find_standing(id)->session->take_snapshot(); }

int64_t Batch::rewind_to_snapshot(int64_t id, int64_t snapshot_id) {
  const SequencePointer sequence = find_sequence(id);
  sequence->session->rewind_to_snapshot(snapshot_id);
  go_on_from_there(sequence);
  return sequence->session->next_step_index();
}

int64_t Batch::rewind(int64_t id, RewindUnit unit, int64_t count) {
  if (count == 0) {
    begin_anew(find_sequence(id));
    return 0;
  }
  const SequencePointer sequence = find_standing(id);
  sequence->session->rewind(unit, count);
  go_on_from_there(sequence);
  return sequence->session->next_step_index();
}

// Before its prompt, which waits to be let in again as when it came.
void Batch::begin_anew(const SequencePointer& sequence) {
  Session& session = *sequence->session;
  session.rewind(RewindUnit::kTokens, 0);
  session.move_to(arenas_of(session));
  session.prefill(sequence->request.prompt);
  take_out(sequence);
  if (stopped_ == sequence) stopped_ = nullptr;
  sequence->num_output_tokens = 0;
  sequence->admitted_us = sequence->first_token_us = sequence->finished_us =
      std::numeric_limits<double>::quiet_NaN();
  sequence->failure.reset();
  sequence->state = SequenceState::kWaiting;
  try {
    require_prompt_fits(session, sequence->request.max_tokens);  // a fork's policy may keep more
    const std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(sequence);
  } catch (const Error&) {
    fail_sequence(sequence);
  }
}

void Batch::go_on_from_there(const SequencePointer& sequence) {
  take_out(sequence);
  if (stopped_ == sequence) stopped_ = nullptr;
  const auto num_tokens = static_cast<int32_t>(sequence->session->tokens().size());
  sequence->num_output_tokens = num_tokens - sequence->num_prompt_tokens;
  sequence->finished_us = std::numeric_limits<double>::quiet_NaN();
  sequence->failure.reset();
  let_in(sequence);
}

void Batch::let_in(const SequencePointer& sequence) {
  Session& session = *sequence->session;
  if (!session.is_in(arenas_of(session))) return join_swapped(sequence);
  if (running_.size() < static_cast<size_t>(config_.max_sequences)) return join_running(sequence);
  move_to_room_of_its_own(session);
  join_swapped(sequence);
}

Batch::Added Batch::fork(int64_t id, const BatchFork& changes) {
  const SequencePointer parent = find_standing(id);
  auto child = std::make_shared<Sequence>();
  child->parent_id = id;
  child->request = parent->request;
  child->num_prompt_tokens = parent->num_prompt_tokens;
  child->num_output_tokens = parent->num_output_tokens;
  if (changes.sampling) check_sampling(*changes.sampling);
  child->request.sampling = changes.sampling.value_or(parent->request.sampling);
  child->request.end_tokens = changes.end_tokens.value_or(parent->request.end_tokens);
  child->request.max_tokens = changes.max_tokens.value_or(parent->request.max_tokens);
  if (child->request.max_tokens <= child->num_output_tokens) {
    throw Error("ERR_OCTAVO_ARGUMENT", "Expected more than the " + std::to_string(child->num_output_tokens) +
                                           " tokens decoded so far for maxTokens of a fork but received " +
                                           std::to_string(child->request.max_tokens));
  }
  if (child->request.max_tokens > model_config().max_positions - child->num_prompt_tokens) {
    throw Error("ERR_OCTAVO_POSITION", "Expected a prompt and maxTokens of at most maxPositions (" +
                                           std::to_string(model_config().max_positions) + ") but received " +
                                           std::to_string(child->num_prompt_tokens) + " and " +
                                           std::to_string(child->request.max_tokens));
  }
  child->session = parent->session->fork(changes.session);
  child->request.arrival_us = child->admitted_us = now_us();
  child->first_token_us = child->finished_us = std::numeric_limits<double>::quiet_NaN();
  let_in(child);
  note_blocks(*child);
  const std::lock_guard lock(inbox_mutex_);
  child->id = static_cast<int64_t>(all_.size());
  all_.push_back(child);
  return {.id = child->id, .session = child->session};
}

}  // namespace octavo
