// What a batch tells of itself: its pools, a row a sequence as it stands, a row a step.
#include <algorithm>
#include <limits>
#include <utility>

#include "core/check.h"
#include "session/batch.h"

namespace octavo {

namespace {

// In the layer that has most.
int64_t most_blocks(const Session& session) {
  int64_t most = 0;
  for (int layer = 0; layer < session.model_config().num_layers; ++layer)
    most = std::max<int64_t>(most, session.layer_cache(layer).table().num_blocks());
  return most;
}

}  // namespace

void Batch::note_blocks(Sequence& sequence) const {
  sequence.num_blocks_peak =
      std::max(sequence.num_blocks_peak, static_cast<int32_t>(most_blocks(*sequence.session)));
}

PoolCounts Batch::pool_counts(int64_t layer) const {
  KvArena& arena = *arenas_[static_cast<size_t>(layer)];
  const std::lock_guard lock(arena.mutex);
  return {.num_blocks = arena.pool.num_blocks(),
          .num_free = arena.pool.num_free(),
          .num_parked = arena.pool.num_parked()};
}

int64_t Batch::pool_bytes() const {
  int64_t total = 0;
  for (const auto& arena : arenas_)
    total += static_cast<int64_t>(arena->keys.size_bytes() + arena->values.size_bytes());
  return total;
}

RequestColumns Batch::requests() {
  take_inbox();  // what was cancelled since the last step has ended
  const std::lock_guard lock(inbox_mutex_);
  RequestColumns columns;
  for (const SequencePointer& sequence : all_) {
    columns.sequence_id.push_back(static_cast<int32_t>(sequence->id));
    columns.parent_id.push_back(sequence->parent_id ? static_cast<double>(*sequence->parent_id)
                                                    : std::numeric_limits<double>::quiet_NaN());
    columns.state.push_back(static_cast<uint8_t>(sequence->state));
    columns.priority.push_back(sequence->request.priority);
    columns.arrival_us.push_back(sequence->request.arrival_us);
    columns.admitted_us.push_back(sequence->admitted_us);
    columns.first_token_us.push_back(sequence->first_token_us);
    columns.finished_us.push_back(sequence->finished_us);
    columns.num_prompt_tokens.push_back(sequence->num_prompt_tokens);
    columns.num_output_tokens.push_back(sequence->num_output_tokens);
    columns.num_decoded_tokens.push_back(sequence->num_decoded_tokens);
    columns.num_preemptions.push_back(sequence->num_preemptions);
    columns.num_blocks_peak.push_back(sequence->num_blocks_peak);
  }
  return columns;
}

const Batch::SequencePointer& Batch::sequence_at(int64_t id) const {
  if (id < 0 || id >= static_cast<int64_t>(all_.size())) {
    throw Error("ERR_OCTAVO_ARGUMENT", "Expected the id of a sequence but received " + std::to_string(id));
  }
  return all_[static_cast<size_t>(id)];
}

std::optional<SequenceFailure> Batch::failure(int64_t id) {
  const std::lock_guard lock(inbox_mutex_);
  return sequence_at(id)->failure;
}

BatchStepColumns Batch::take_steps() { return std::exchange(rows_, {}); }

void BatchStepColumns::record(const BatchStepRow& row, int32_t index) {
  batch_step_index.push_back(index);
  start_us.push_back(row.start_us);
  num_running.push_back(row.num_running);
  num_waiting.push_back(row.num_waiting);
  num_swapped.push_back(row.num_swapped);
  num_admitted.push_back(row.num_admitted);
  num_preempted.push_back(row.num_preempted);
  num_resumed.push_back(row.num_resumed);
  num_ended.push_back(row.num_ended);
  num_free_blocks.push_back(row.num_free_blocks);
  num_prompt_tokens.push_back(row.num_prompt_tokens);
  num_output_tokens.push_back(row.num_output_tokens);
  swapped_bytes.push_back(row.swapped_bytes);
  total_us.push_back(row.total_us);
  swap_us.push_back(row.swap_us);
  prefill_us.push_back(row.prefill_us);
  products_us.push_back(row.products_us);
  attention_us.push_back(row.attention_us);
  cache_us.push_back(row.cache_us);
  sample_us.push_back(row.sample_us);
}

}  // namespace octavo
