// Appending to plain vectors keeps recording far below the cost of a step.
#include "trace/recorder.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/check.h"
#include "trace/packed_steps.h"

namespace octavo {

void Recorder::record(const StepRow& row) {
  StepColumns& steps = tables_.steps;
  steps.step_index.push_back(row.step_index);
  steps.phase.push_back(static_cast<uint8_t>(row.phase));
  steps.token_id.push_back(row.token_id);
  steps.position_index.push_back(row.position_index);
  steps.num_tokens.push_back(row.num_tokens);
  steps.forced.push_back(row.forced ? 1 : 0);
  steps.token_logprob.push_back(row.token_logprob);
  steps.entropy.push_back(row.entropy);
  steps.total_us.push_back(row.total_us);
  steps.attention_us.push_back(row.attention_us);
  steps.score_us.push_back(row.score_us);
  steps.evict_us.push_back(row.evict_us);
}

void Recorder::record(const BlockRow& row) {
  BlockColumns& blocks = tables_.blocks;
  blocks.step_index.push_back(row.step_index);
  blocks.layer_index.push_back(row.layer_index);
  blocks.logical_index.push_back(row.logical_index);
  blocks.block_id.push_back(row.block_id);
  blocks.kv_head.push_back(row.kv_head);
  blocks.filled.push_back(row.filled);
  blocks.score.push_back(row.score);
  blocks.positions.values.insert(blocks.positions.values.end(), row.positions, row.positions + row.filled);
  blocks.positions.offsets.push_back(static_cast<int32_t>(blocks.positions.values.size()));
}

void Recorder::record(const EvictionRow& row) {
  EvictionColumns& evictions = tables_.evictions;
  evictions.eviction_id.push_back(next_eviction_id_++);
  evictions.step_index.push_back(row.step_index);
  evictions.layer_index.push_back(row.layer_index);
  evictions.phase.push_back(static_cast<uint8_t>(row.phase));
  evictions.granularity.push_back(static_cast<uint8_t>(row.granularity));
  evictions.logical_index.push_back(row.logical_index);
  evictions.block_id.push_back(row.block_id);
  evictions.slot_index.push_back(row.slot_index);
  evictions.kv_head.push_back(row.kv_head);
  evictions.freed.push_back(row.freed ? 1 : 0);
  evictions.chosen_by.push_back(
      static_cast<uint8_t>(row.decided_by_user ? ChosenBy::kUser : ChosenBy::kPolicy));
  evictions.score.push_back(row.score);
  evictions.runner_up_score.push_back(row.runner_up_score);
  evictions.positions.push_back(row.positions);
  evictions.candidates.push_back(row.candidates);
  evictions.candidate_scores.push_back(row.candidate_scores);
}

void Recorder::record(const MemoryRow& row) {
  MemoryColumns& memory = tables_.memory;
  const auto live = static_cast<double>(row.live_tokens);
  const auto allocated = static_cast<double>(row.allocated_tokens);
  memory.step_index.push_back(row.step_index);
  memory.layer_index.push_back(row.layer_index);
  memory.live_tokens.push_back(static_cast<int32_t>(row.live_tokens));
  memory.allocated_tokens.push_back(static_cast<int32_t>(row.allocated_tokens));
  memory.num_blocks.push_back(row.num_blocks);
  memory.num_free_blocks.push_back(row.num_free_blocks);
  memory.num_parked_blocks.push_back(row.num_parked_blocks);
  memory.live_bytes.push_back(live * row.bytes_per_token);
  memory.allocated_bytes.push_back(allocated * row.bytes_per_token);
  memory.fragmentation.push_back(allocated == 0 ? 0.0F : static_cast<float>(1.0 - live / allocated));
  memory.num_nan_scores.push_back(row.num_nan_scores);
}

void Recorder::record(const LogitsRow& row) {
  tables_.logits.step_index.push_back(row.step_index);
  tables_.logits.logits.push_back(row.logits);
}

void Recorder::require_room(int64_t num_values) const {
  const size_t largest =
      std::max({tables_.blocks.positions.values.size(), tables_.evictions.positions.values.size(),
                tables_.evictions.candidates.values.size(), tables_.evictions.candidate_scores.values.size(),
                tables_.logits.logits.values.size()});
  if (static_cast<int64_t>(largest) + num_values > std::numeric_limits<int32_t>::max()) {
    throw Error("ERR_OCTAVO_TRACE", "Expected fewer than 2^31 values in a trace column but it has " +
                                        std::to_string(largest) + "; take the trace, then go on");
  }
}

std::vector<double> Recorder::step_rows(int32_t first_step) { return pack_steps(tables_, first_step); }

TraceTables Recorder::take() { return std::exchange(tables_, TraceTables{}); }

}  // namespace octavo
