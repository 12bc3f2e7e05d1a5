// The trace of one session: a struct of arrays for each table, with the names and order of
// sdk/trace/schema.ts. It holds whole steps only, and is moved out without a copy.
#pragma once

#include <cstdint>
#include <vector>

namespace octavo {

// Lists of variable length: list i is values[offsets[i]] to values[offsets[i + 1]].
template <typename T>
struct ListColumn {
  std::vector<int32_t> offsets = {0};
  std::vector<T> values;

  void push_back(const std::vector<T>& list) {
    values.insert(values.end(), list.begin(), list.end());
    offsets.push_back(static_cast<int32_t>(values.size()));
  }
};

// Codes into the `values` of the schema's text columns.
enum class Phase : uint8_t { kPrefill = 0, kDecode = 1 };
enum class Granularity : uint8_t { kToken = 0, kBlock = 1 };
enum class ChosenBy : uint8_t { kPolicy = 0, kUser = 1 };

struct StepColumns {
  std::vector<int32_t> step_index;
  std::vector<uint8_t> phase;
  std::vector<int32_t> token_id, position_index, num_tokens;
  std::vector<uint8_t> forced;
  std::vector<float> token_logprob, entropy;
  std::vector<double> total_us, attention_us, score_us, evict_us;

  // Calls visit(name, column) for each column, in the schema's order.
  template <typename Visit>
  void visit(Visit&& visit) {
    visit("step_index", step_index);
    visit("phase", phase);
    visit("token_id", token_id);
    visit("position_index", position_index);
    visit("num_tokens", num_tokens);
    visit("forced", forced);
    visit("token_logprob", token_logprob);
    visit("entropy", entropy);
    visit("total_us", total_us);
    visit("attention_us", attention_us);
    visit("score_us", score_us);
    visit("evict_us", evict_us);
  }
};

struct BlockColumns {
  std::vector<int32_t> step_index, layer_index, logical_index, block_id, kv_head, filled;
  std::vector<float> score;
  ListColumn<int32_t> positions;

  template <typename Visit>
  void visit(Visit&& visit) {
    visit("step_index", step_index);
    visit("layer_index", layer_index);
    visit("logical_index", logical_index);
    visit("block_id", block_id);
    visit("kv_head", kv_head);
    visit("filled", filled);
    visit("score", score);
    visit("positions", positions);
  }
};

struct EvictionColumns {
  std::vector<int32_t> eviction_id, step_index, layer_index;
  std::vector<uint8_t> phase, granularity;
  std::vector<int32_t> logical_index, block_id, slot_index, kv_head;
  std::vector<uint8_t> freed, chosen_by;
  std::vector<float> score, runner_up_score;
  ListColumn<int32_t> positions, candidates;
  ListColumn<float> candidate_scores;

  template <typename Visit>
  void visit(Visit&& visit) {
    visit("eviction_id", eviction_id);
    visit("step_index", step_index);
    visit("layer_index", layer_index);
    visit("phase", phase);
    visit("granularity", granularity);
    visit("logical_index", logical_index);
    visit("block_id", block_id);
    visit("slot_index", slot_index);
    visit("kv_head", kv_head);
    visit("freed", freed);
    visit("chosen_by", chosen_by);
    visit("score", score);
    visit("runner_up_score", runner_up_score);
    visit("positions", positions);
    visit("candidates", candidates);
    visit("candidate_scores", candidate_scores);
  }
};

struct MemoryColumns {
  std::vector<int32_t> step_index, layer_index, live_tokens, allocated_tokens, num_blocks, num_free_blocks,
      num_parked_blocks;
  std::vector<double> live_bytes, allocated_bytes;
  std::vector<float> fragmentation;
  std::vector<int32_t> num_nan_scores;

  template <typename Visit>
  void visit(Visit&& visit) {
    visit("step_index", step_index);
    visit("layer_index", layer_index);
    visit("live_tokens", live_tokens);
    visit("allocated_tokens", allocated_tokens);
    visit("num_blocks", num_blocks);
    visit("num_free_blocks", num_free_blocks);
    visit("num_parked_blocks", num_parked_blocks);
    visit("live_bytes", live_bytes);
    visit("allocated_bytes", allocated_bytes);
    visit("fragmentation", fragmentation);
    visit("num_nan_scores", num_nan_scores);
  }
};

struct LogitsColumns {
  std::vector<int32_t> step_index;
  ListColumn<float> logits;

  template <typename Visit>
  void visit(Visit&& visit) {
    visit("step_index", step_index);
    visit("logits", logits);
  }
};

struct TraceTables {
  StepColumns steps;
  BlockColumns blocks;
  EvictionColumns evictions;
  MemoryColumns memory;
  LogitsColumns logits;
};

// Rows as the session hands them over.
struct StepRow {
  int32_t step_index;
  Phase phase;
  int32_t token_id, position_index, num_tokens;
  bool forced;
  float token_logprob, entropy;
  double total_us, attention_us, score_us, evict_us;
};

struct BlockRow {
  int32_t step_index, layer_index, logical_index, block_id;
  int32_t kv_head;  // -1 for all
  float score;
  const int32_t* positions;  // [filled], -1 in holes
  int32_t filled;
};

struct EvictionRow {
  int32_t step_index, layer_index;
  Phase phase;
  Granularity granularity;
  int32_t logical_index, block_id;  // -1 for tokens of a prompt, and for several of a cache
  int32_t slot_index;               // of one token of a cache, -1 otherwise
  int32_t kv_head;                  // -1 for all
  bool freed, decided_by_user;
  float score, runner_up_score;
  std::vector<int32_t> positions, candidates;
  std::vector<float> candidate_scores;
};

struct MemoryRow {
  int32_t step_index, layer_index;
  int64_t live_tokens, allocated_tokens;
  int32_t num_blocks, num_free_blocks, num_parked_blocks;
  double bytes_per_token;
  int32_t num_nan_scores;
};

struct LogitsRow {
  int32_t step_index;
  const std::vector<float>& logits;  // [vocab_size]
};

// Not thread-safe: its session owns it.
class Recorder {
 public:
  void record(const StepRow& row);
  void record(const BlockRow& row);
  // Numbers the row.
  void record(const EvictionRow& row);
  void record(const MemoryRow& row);
  void record(const LogitsRow& row);

  // Throws ERR_OCTAVO_TRACE when num_values more list values in a column would pass the 2^31 that Arrow's
  // offsets can count; taking the trace mends it.
  void require_room(int64_t num_values) const;

  // Moves out the rows since the last take. Eviction numbers run on.
  TraceTables take();

  // Rows of the steps since the last take, from one step on; see packed_steps.h.
  std::vector<double> step_rows(int32_t first_step);

  // The number of the next eviction, and setting it when a session goes back.
  int32_t next_eviction_id() const { return next_eviction_id_; }
  void set_next_eviction_id(int32_t id) { next_eviction_id_ = id; }

 private:
  TraceTables tables_;
  int32_t next_eviction_id_ = 0;
};

}  // namespace octavo
