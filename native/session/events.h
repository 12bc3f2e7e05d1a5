// What a session is asked to do and what it answers: plain values, the C++ side of the contract in addon.ts.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "ops/sampler.h"
#include "trace/recorder.h"

namespace octavo {

// Which happenings make advance return in the middle of a step, before they take effect.
struct StopConditions {
  bool evict = false;
  bool block_full = false;
  bool layer_end = false;         // after a layer, whatever happened in it
  bool nan = false;               // before a key or value that is not finite fails the step
  std::optional<int> layer = {};  // only in this one
};

// What to do with the eviction in decode that the session stopped before, in place of the policy's choice.
struct Decision {
  // What to drop: a block by its place in the table, a token by its position; none: nothing goes, and the
  // cache grows.
  std::optional<int> replacement;
  std::optional<std::vector<float>> scores;  // instead, at a stop for scores: one of each candidate, no NaN
};

struct AdvanceRequest {
  int64_t max_steps = 1;
  std::vector<int32_t> forced_tokens;  // fed, one a step, by the decode steps that begin in this call
  Sampling sampling;
  std::vector<int32_t> end_tokens;
  StopConditions stop;
  std::optional<Decision> decision;
};

struct EvictEvent {
  int64_t step_index;
  int layer;
  Phase phase;
  Granularity granularity;
  bool shared;                       // the same in all layers; decided in layer 0
  std::optional<int> kv_head;        // the head that chose, where heads choose for themselves
  std::optional<int> logical_index;  // of a block, or of that of a cached token
  std::optional<int> block_id;       // the same
  std::optional<int> slot_index;     // of a cached token, in its block
  std::vector<int32_t> positions;    // RoPE positions that go
  float score;
  float runner_up_score;
  std::vector<int32_t> candidates;  // logical block indices, or positions for tokens
  std::vector<float> candidate_scores;
};

struct BlockFullEvent {
  int64_t step_index;
  int layer;
  int logical_index;
  int block_id;
};

struct LayerEvent {
  int64_t step_index;
  int layer;
};

struct NanEvent {
  int64_t step_index;
  int layer;
  bool in_key;  // in a value otherwise
  int64_t position;
  int kv_head;
};

// Asks for scores of blocks or tokens; comes again until a decision brings them.
struct ScoreEvent {
  int64_t step_index;
  int layer;
  Phase phase;
  Granularity granularity;
  // Logical block indices, ascending; or RoPE positions of all live tokens, in order of slots.
  std::vector<int32_t> candidates;
};

// What a caller may score by, at a stop for scores: of all live tokens of the layer, in order of slots.
struct ScoringNeeds {
  bool vectors = false, norms = false, attention_mass = false, last_query = false;
};
struct ScoringInputs {
  int num_kv_heads, head_dim;
  std::vector<int32_t> slots;                 // decode: block id times block_size plus the place in the block
  std::vector<float> keys, values;            // prefill: [num_tokens, num_kv_heads, head_dim]
  std::vector<float> key_norms, value_norms;  // [num_tokens, num_kv_heads]
  std::vector<float> attention_mass;          // [num_tokens]
  std::vector<float> last_query;              // [num_query_heads, head_dim]
};

using Event = std::variant<EvictEvent, BlockFullEvent, LayerEvent, NanEvent, ScoreEvent>;

enum class StopReason { kSteps, kEndToken, kEvent, kCancelled };

struct AdvanceResult {
  StopReason reason;
  int64_t num_steps;         // completed by this call
  std::optional<int> token;  // the end token
  std::optional<Event> event;
};

// The block table of one layer, as copies in logical order.
struct LayerState {
  std::vector<int32_t> block_ids, filled;
  std::vector<int32_t> dead_slots;  // in logical order: holes
  std::vector<float> scores;        // NaN where a block has none
  std::vector<int32_t> ref_counts;
  int64_t kv_len;
  int num_free_blocks;
  int num_parked_blocks;  // held by snapshots only
};

}  // namespace octavo
