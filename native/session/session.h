// One sequence through a model with a paged, evicting cache. A step is a resumable state machine: a stop
// returns in its middle, and the next advance goes on from exactly there, so stops change nothing but wall
// time.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cache/kv_cache.h"
#include "evict/layer_policies.h"
#include "evict/policy.h"
#include "model/llama.h"
#include "ops/paged_attention.h"
#include "ops/paged_logits.h"
#include "ops/paged_numerators.h"
#include "session/checkpoint.h"
#include "session/events.h"
#include "session/step.h"
#include "trace/recorder.h"

namespace octavo {

struct SessionConfig {
  int block_size = 16;           // slots per block, 1 to 256
  int num_blocks = 0;            // physical blocks in each layer's pool
  DType kv_dtype = DType::kF32;  // of cached keys and values: f32, bf16 or f16
  PolicyConfig policy;
  uint64_t seed = 0;  // key of every random choice
  bool record_blocks = false;
  bool record_logits = false;
  int64_t history = 0;  // completed steps that rewind can go back by, at most
};

// One thread at a time, except num_tokens. A step that throws is taken back in all layers.
class Session {
 public:
  // arenas: one a layer where they are shared with other sessions, of the shape that the configuration asks
  // for; none: arenas of its own. Throws ERR_OCTAVO_ARGUMENT, ERR_OCTAVO_BUDGET, ERR_OCTAVO_MEMORY.
  Session(std::shared_ptr<const LlamaModel> model, const SessionConfig& config,
          const std::vector<std::shared_ptr<KvArena>>& arenas = {});

  // Takes the prompt as input of the next step. Throws ERR_OCTAVO_PREFILL unless the session is empty,
  // ERR_OCTAVO_TOKEN, ERR_OCTAVO_POSITION.
  void prefill(std::vector<int32_t> tokens);

  // Looks at `cancelled` at each layer boundary. Throws ERR_OCTAVO_PREFILL without a prompt,
  // ERR_OCTAVO_POSITION, ERR_OCTAVO_POOL_EXHAUSTED, ERR_OCTAVO_NAN, ERR_OCTAVO_TOKEN, ERR_OCTAVO_ARGUMENT,
  // ERR_OCTAVO_TRACE, ERR_OCTAVO_MODEL_FILE.
  AdvanceResult advance(const AdvanceRequest& request, const std::atomic<bool>& cancelled);

  const LlamaConfig& model_config() const { return model_->config(); }
  // Tokens seen, which is the next RoPE index. From any thread.
  int64_t num_tokens() const { return num_tokens_.load(std::memory_order_relaxed); }
  int64_t next_step_index() const { return next_step_index_; }
  const std::vector<int32_t>& tokens() const { return tokens_; }
  uint64_t seed() const { return config_.seed; }
  // Whether a stop left a step under way.
  bool is_inside_step() const { return step_.has_value(); }
  // f32 [vocab_size], after the last completed step. Throws ERR_OCTAVO_PREFILL before the first.
  const Tensor& logits() const;
  // Throws ERR_OCTAVO_ARGUMENT when there is no such layer.
  const KvCache& layer_cache(int64_t layer) const;
  LayerState layer_state(int64_t layer) const;
  TraceTables take_trace() { return recorder_.take(); }
  // Rows of completed steps that take_trace has not taken, from one step on; see packed_steps.h.
  std::vector<double> step_rows(int32_t first_step) { return recorder_.step_rows(first_step); }

  // Steps together with other sessions (lockstep.cpp). Their owner computes what they share, the products by
  // weights, in one pass for all: it begins a step and runs it, and as long as there is something that it
  // waits for, computes that, says so and runs it again.

  // Begins a decode step. Throws as advance does.
  void begin_together(const AdvanceRequest& request);
  // To where it waits, or to a stop. On an exception the owner takes the step back.
  std::optional<Event> run_together(const StopConditions& stop);
  // At a stop, in place of what the policy chose. Throws ERR_OCTAVO_ARGUMENT, ERR_OCTAVO_POLICY.
  void decide(const Decision& decision);
  SharedWork waits_for() const;
  // Inputs and outputs of what it waits for; one token.
  Activations& activations() { return activations_; }
  // [vocab_size], output of SharedWork::kLogits.
  float* next_logits() { return next_logits_.data(); }
  // Its own attention, which needs nothing of the others and may run beside theirs.
  void attend_together() { attend(); }
  // The layer that the step under way is in.
  int layer_under_way() const { return step_->layer; }
  // Projections or the rest of the layer are computed.
  void go_on();
  // With logits; total_us: wall time that the record shall show. Throws ERR_OCTAVO_NAN,
  // ERR_OCTAVO_MODEL_FILE.
  void complete_together(double total_us);
  void take_back_step() { roll_back_step(); }

  // Blocks of a layer's pool that so many more tokens would take; a prompt that is yet to run counts with
  // what its policy keeps of it.
  int64_t num_blocks_needed(int64_t layer, int64_t num_tokens) const;
  // Blocks that the next token may take, copies of blocks that others share among them.
  int64_t num_blocks_for_next_token(int64_t layer) const;
  // Moves all layers to other arenas, between two steps. Throws ERR_OCTAVO_POOL_EXHAUSTED, with the layers
  // moved so far there.
  void move_to(const std::vector<std::shared_ptr<KvArena>>& arenas);
  // Gives all blocks but those of snapshots, and working memory back; tokens, logits and trace stay. Only a
  // rewind to a snapshot sets it going again.
  void end();
  // Whether its layers' blocks are those of these arenas.
  bool is_in(const std::vector<std::shared_ptr<KvArena>>& arenas) const {
    return layers_.front().cache.is_in(arenas.front());
  }
  // Moves snapshots and history out of arenas, to memory of their own; the bytes that it took, 0 where there
  // is nothing to move. Throws ERR_OCTAVO_MEMORY, which changes nothing.
  double move_checkpoints_out(const std::vector<std::shared_ptr<KvArena>>& arenas);
  // Gives up the oldest step of the history; false where there is none that holds blocks of these arenas.
  bool shorten_history(const std::vector<std::shared_ptr<KvArena>>& arenas);

  // Time travel (time_travel.cpp). All of it speaks of completed steps: a step under way is as if it had not
  // begun, and comes to the same stop when it is taken again.

  // Keeps where the session stands, until drop_snapshot or the session's end; gives its id.
  int64_t take_snapshot();
  // Throws ERR_OCTAVO_SNAPSHOT for an id that is not kept.
  void drop_snapshot(int64_t id);
  // Goes back, or forth, to a snapshot. Throws ERR_OCTAVO_SNAPSHOT.
  void rewind_to_snapshot(int64_t id);
  // Goes back to where so many tokens had been seen, or where the step of that index comes next; 0 empties
  // the session. Throws ERR_OCTAVO_HISTORY when the history does not reach there.
  void rewind(RewindUnit unit, int64_t count);
  // Token counts that rewind can go back to, besides 0; ascending.
  std::vector<int32_t> rewind_points() const;
  // Another session that goes on from here with blocks shared copy on write. It has no snapshots and a
  // history of its own. Throws ERR_OCTAVO_BUDGET, ERR_OCTAVO_ARGUMENT for its policy,
  // ERR_OCTAVO_POOL_EXHAUSTED where that moves keys and there are no blocks for their copies.
  std::unique_ptr<Session> fork(const ForkConfig& changes) const;
  // What attention gives each live slot for the last token's query: f32 [num_query_heads, kv_len]. At a stop
  // before an eviction: what it would give if nothing went. Throws ERR_OCTAVO_PATTERN where no token or a cut
  // prompt came last.
  std::vector<float> attention_pattern(int64_t layer) const;
  // At a stop for scores. Throws ERR_OCTAVO_ARGUMENT elsewhere, or for attention that is not summed up.
  ScoringInputs scoring_inputs(const ScoringNeeds& needs) const;

 private:
  struct Layer {
    explicit Layer(KvCache cache) : cache(std::move(cache)) {}
    KvCache cache;
    int32_t num_nan_scores = 0;
    int32_t num_nan_scores_before_step = 0;
    // What tokens score by from step to step, where the policy keeps that: attention summed up, or a score by
    // norms. [num_slots, num_choosers], in logical order, 0 in holes.
    std::vector<float> slot_values, slot_values_before_step;
    MovedKeys moved_keys, moved_keys_before_step;  // where positions are reassigned
  };

  Session(const Session& parent, const ForkConfig& changes);

  // session.cpp
  void check_request(const AdvanceRequest& request) const;
  void begin_step(const AdvanceRequest& request, size_t& num_forced_used);
  void size_activations(int64_t first_position, int64_t count);
  // Tokens that the layers run over at once: the step's, or a part's.
  int64_t num_fed() const { return static_cast<int64_t>(activations_.positions.size()); }
  void require_position(int64_t num_tokens) const;
  void require_blocks(int64_t num_new_tokens);
  int64_t num_copies_needed(int layer) const;
  std::optional<Event> run_step(const StopConditions& stop, const std::atomic<bool>& cancelled);
  void complete_step();
  void roll_back_step();

  // layer_step.cpp: each of the first two runs the current layer to its end, or to a stop.
  std::optional<Event> decode_layer(const StopConditions& stop);
  std::optional<Event> prefill_layer(const StopConditions& stop);
  Stage stage_after_full(bool is_full) const;
  // Of a prompt the layer computes so many tokens at a time, from step_->slice_first on; of parts and single
  // tokens, all that are fed.
  int64_t slice_size() const;
  bool begin_next_slice();  // false, and back at the first one, where none is left
  void project();
  void end_projection();
  std::optional<NanEvent> require_finite(const StopConditions& stop);
  PagedAttentionShape attention_shape(const KvCache& cache) const;
  void attend();
  void finish_layer(int64_t first_token);
  std::optional<Event> end_layer(const StopConditions& stop);
  bool announces(bool wanted, const StopConditions& stop);

  // prompt_parts.cpp
  bool keeps_whole(int64_t num_tokens) const;
  std::optional<Event> prefill_part(const StopConditions& stop);
  void page_part();
  void attend_part();
  bool is_last_part() const;
  void begin_next_part();

  // prompt_step.cpp
  void choose_tokens();
  void choose_tokens_here();
  PromptView prompt_view(const float* scores, std::optional<int> kv_head) const;
  float* attention_rows();  // [num_tokens, num_query_heads, head_dim]
  bool needs_output_of_slice() const;
  int64_t first_needed_of(int64_t num_tokens) const;
  void attend_prompt();
  void attend_cut_prompt();
  void finish_slice();
  void page_prompt();
  void page_token(const std::vector<int32_t>& tokens);

  // block_step.cpp
  TableView table_view() const;
  void choose_block();
  void decide_on_block(int chosen);
  void drop_block();

  // eviction_events.cpp
  std::optional<Event> announce_evictions(const StopConditions& stop);
  EvictEvent evict_event(size_t index, bool with_candidates = true) const;
  void note_eviction(EvictEvent event, bool decided_by_user, bool freed);

  // token_step.cpp: tokens that go in decode one by one.
  int64_t find_slot(const KvCache& cache, int32_t position, int chooser) const;
  void gather_positions(const KvCache& cache, int row);
  std::span<const float> token_scores_of(int row);
  void choose_cached_tokens(bool lists_candidates);
  void decide_on_token(int chosen);
  void drop_cached_tokens();
  bool recycle(Layer& layer, const std::vector<int64_t>& slots);
  bool punch_hole(Layer& layer, int64_t slot);
  bool compact(Layer& layer);
  void move_slot(Layer& layer, int64_t from, int64_t to);
  void forget_slots(Layer& layer, int64_t first, int64_t count);

  // reassigned_positions.cpp
  void reassign_positions(Layer& layer, int64_t newest) const;
  void restore_positions(Layer& layer) const;

  // scoring.cpp
  // Who choose: each KV head, or the layer.
  int num_choosers() const;
  bool keeps_slot_values(int layer) const;
  bool sums_prompt_attention() const;
  void sum_prompt_attention();
  void score_prompt();
  std::vector<float> score_prompt_of(int first_kv_head, int num_kv_heads);
  std::vector<float> prompt_mass_of(int first_kv_head, int num_kv_heads) const;
  void note_cached_token(Layer& layer);
  std::vector<float> norm_scores(const float* keys, const float* values, int num_kv_heads, int64_t num_tokens,
                                 int32_t& num_nan) const;
  void score_slots_by_norms(Layer& layer);
  void score_slots(const Layer& layer, std::vector<float>& to);
  void score_cached_tokens();
  void score_blocks();
  void score_block(int layer_index, int logical_index);
  void set_block_scores(Layer& layer, const std::vector<float>& token_scores);
  std::vector<float> distinctness_of_live_keys(const KvCache& cache, int64_t num_slots) const;
  std::vector<float> attention_mass_of(const KvCache& cache, const float* query, int64_t num_slots) const;
  void multiply_keys(const KvCache& cache, const float* query, int64_t num_slots, PagedLogits& logits) const;
  void multiply_newest_query();
  void scores_of_mass(const Layer& layer, std::vector<float>& to) const;
  std::vector<float> pattern_of(const KvCache& cache, const float* query, int64_t num_slots) const;
  void add_attention_mass();

  // custom_scoring.cpp
  int layer_asked_for() const;
  std::optional<ScoreEvent> ask_for_scores() const;
  void take_scores(const std::vector<float>& scores);

  // shared_scope.cpp
  bool shares_choices() const { return config_.policy.shared.has_value(); }
  bool means_over_layers() const;
  bool scores_layer(int layer) const;
  bool sums_attention(int layer) const;
  void require_parallel_layers() const;
  void score_layers();
  void score_tokens_of_layers();
  std::vector<float> scores_before_step(size_t layer) const;
  void gather_layer_scores();
  std::optional<Choice> choose_shared_block();
  std::optional<Choice> choose_shared_cached_tokens(const CacheView& slots, int64_t num_dropped);
  void take_shared_choices();
  void share_choices();
  void choose_shared_tokens();
  bool waits_for_all_layers() const;
  void wait_for_all_layers();
  void begin_cut();
  std::optional<Event> cut_waiting_layer(const StopConditions& stop);

  // step_record.cpp
  void record_step(float entropy);

  // time_travel.cpp
  std::shared_ptr<const Checkpoint> checkpoint() const;
  void note_history();
  void restore(const Checkpoint& checkpoint);
  void clear();

  std::shared_ptr<const LlamaModel> model_;
  SessionConfig config_;
  LayerPolicies policy_;
  std::vector<Layer> layers_;
  std::vector<int32_t> prompt_;  // given and not yet run
  std::vector<int32_t> tokens_;
  std::atomic<int64_t> num_tokens_ = 0;
  int64_t next_step_index_ = 0;
  int64_t attention_since_ = 0;        // position of the first query that attention is summed up from
  int64_t prompt_tokens_dropped_ = 0;  // of the last step, in the layer that dropped most
  Tensor logits_;
  double log_sum_exp_ = 0;           // of logits_
  std::vector<float> last_queries_;  // [num_layers, num_query_heads, head_dim], of the last completed step
  std::vector<float> next_queries_;  // the same of the step under way
  uint64_t state_id_ = 0;            // of the last completed step; never given twice
  uint64_t next_state_id_ = 1;
  std::deque<std::shared_ptr<const Checkpoint>> history_;  // oldest first; the newest is of state_id_
  std::map<int64_t, Snapshot> snapshots_;
  int64_t next_snapshot_id_ = 1;
  std::optional<Step> step_;
  Activations activations_;
  LlamaWorkspace workspace_;
  PagedNumerators numerators_;            // of the layer that attended last
  std::vector<int32_t> spare_positions_;  // memory for lists as long as a cache: what chooses reads
  std::vector<float> spare_scores_;
  PagedLogits logits_of_newest_;      // of the layer under way, from its scores to its attention
  std::vector<float> next_logits_;    // [vocab_size], until the step is known to be sound
  std::vector<float> probabilities_;  // scratch
  Recorder recorder_;
};

}  // namespace octavo
