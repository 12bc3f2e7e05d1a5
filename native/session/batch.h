// Many sequences over one pool of blocks a layer, decoded together: continuous batching. Each sequence is a
// session, so all that holds of a session holds of it; the batch decides who runs and computes the products
// by weights once for all. Sequences that run and find no block make room by swapping the newest of the
// lowest priority out.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "session/batch_events.h"
#include "session/session.h"

namespace octavo {

// One thread at a time, except add and cancel. Sessions handed out must not be advanced by others.
class Batch {
 public:
  // Throws ERR_OCTAVO_ARGUMENT, ERR_OCTAVO_MEMORY.
  Batch(std::shared_ptr<const LlamaModel> model, const BatchConfig& config);

  struct Added {
    int64_t id;
    std::shared_ptr<Session> session;  // to look at, while no advance is under way
  };
  // Queues a sequence; first come, first served among those of a priority. From any thread. Throws
  // ERR_OCTAVO_TOKEN, ERR_OCTAVO_POSITION for a prompt that with max_tokens passes the model's positions,
  // ERR_OCTAVO_BUDGET, ERR_OCTAVO_ARGUMENT, ERR_OCTAVO_POOL_EXHAUSTED for a prompt that an empty pool cannot
  // take.
  Added add(BatchRequest request);
  // Ends a sequence, and gives its blocks back: before the step that an advance takes next, or as the
  // requests are next looked at; nothing where it has ended. From any thread. Throws ERR_OCTAVO_ARGUMENT for
  // an id never given.
  void cancel(int64_t id);

  // Time travel (batch_travel.cpp), of completed steps of a sequence as a session's own; between two calls of
  // advance. The others stand where they stand.

  // Throws ERR_OCTAVO_ARGUMENT for an id never given; ERR_OCTAVO_PREFILL for a sequence whose prompt is not
  // computed; ERR_OCTAVO_BATCH for one that has ended; ERR_OCTAVO_POOL_EXHAUSTED where blocks that the step
  // under way wrote over need copies.
  int64_t take_snapshot(int64_t id);
  // Also sets a sequence going that has ended, where it has the snapshot. Its next step, whose index is
  // given, is computed with the next step of the batch. Throws as take_snapshot and as Session::rewind do.
  int64_t rewind_to_snapshot(int64_t id, int64_t snapshot_id);
  // To a count of 0, which needs no history, from any state: the sequence waits for its prompt to be let in
  // again; one that the pools cannot take fails.
  int64_t rewind(int64_t id, RewindUnit unit, int64_t count);
  // One more sequence that goes on from where this one stands, let in at once; swapped out where too many
  // run. Throws as take_snapshot and as Session::fork do, ERR_OCTAVO_POSITION, ERR_OCTAVO_ARGUMENT.
  Added fork(int64_t id, const BatchFork& changes);

  // Looks at `cancelled` at each layer boundary. What a sequence throws fails it alone.
  BatchResult advance(const BatchAdvance& request, const std::atomic<bool>& cancelled);

  const LlamaConfig& model_config() const { return model_->config(); }
  uint64_t seed_of(int64_t id) { return find_sequence(id)->session->seed(); }
  // Not while an advance is under way.
  RequestColumns requests();
  // Why a sequence failed; empty where it did not.
  std::optional<SequenceFailure> failure(int64_t id);
  // Moves out the rows since the last call.
  BatchStepColumns take_steps();
  // One layer's pool.
  PoolCounts pool_counts(int64_t layer) const;
  // Of all pools: keys and values.
  int64_t pool_bytes() const;

 private:
  struct Sequence {
    int64_t id = 0;
    std::optional<int64_t> parent_id;
    std::shared_ptr<Session> session;
    BatchRequest request;
    SequenceState state = SequenceState::kWaiting;
    std::optional<SequenceFailure> failure;
    double admitted_us, first_token_us, finished_us;  // NaN until then
    int32_t num_prompt_tokens = 0, num_output_tokens = 0, num_preemptions = 0, num_blocks_peak = 0;
    int32_t num_decoded_tokens = 0;  // by itself, those that a rewind took back among them
  };
  using SequencePointer = std::shared_ptr<Sequence>;
  enum class BatchStage { kMakeRoom, kAdmit, kPrefill, kBeginDecode, kRun, kShare, kEnd };
  struct BatchStep {
    BatchStage stage = BatchStage::kMakeRoom;
    SequencePointer prefilling;
    std::vector<SequencePointer> decoding;  // as in running_
    size_t next = 0;                        // of decoding: who has yet to come to where the others wait
    bool made_room = false;
    bool began_anew = false;  // as blocks ran out on the way
    std::chrono::steady_clock::time_point start, decode_start{};
    BatchStepRow row;
  };

  // batch.cpp: who runs
  double now_us() const;
  void take_inbox();
  bool fits() const;
  bool relieve_pools();
  void make_room();
  void swap_out(const SequencePointer& sequence);
  void make_arenas_by_head();
  void require_prompt_fits(const Session& session, int64_t max_tokens) const;
  const std::vector<std::shared_ptr<KvArena>>& arenas_of(const Session& session) const;
  double move_to_room_of_its_own(Session& session) const;
  void join_running(const SequencePointer& sequence);
  void join_swapped(const SequencePointer& sequence);
  void swap_in();
  SequencePointer first_that_arrived() const;
  SequencePointer next_to_admit();
  bool has_room_for(const Session& session, int64_t num_tokens, int64_t spare_blocks);
  void take_out(const SequencePointer& sequence);
  void end_sequence(const SequencePointer& sequence, SequenceState state);
  void fail_sequence(const SequencePointer& sequence);
  void note_blocks(Sequence& sequence) const;

  // With the inbox's lock held. Throws ERR_OCTAVO_ARGUMENT for an id never given.
  const SequencePointer& sequence_at(int64_t id) const;

  // batch_travel.cpp
  SequencePointer find_sequence(int64_t id);
  SequencePointer find_standing(int64_t id);
  void begin_anew(const SequencePointer& sequence);
  void go_on_from_there(const SequencePointer& sequence);
  void let_in(const SequencePointer& sequence);

  // batch_step.cpp: what a step computes
  std::optional<BatchResult> run_step(const BatchAdvance& request, const std::atomic<bool>& cancelled);
  std::optional<Event> prefill(const BatchAdvance& request, const std::atomic<bool>& cancelled);
  void begin_decode();
  bool begins_anew();
  std::optional<Event> run_sequences(const BatchAdvance& request);
  void share_work();
  void gather(std::vector<float> Activations::*from, std::vector<float>& to) const;
  void scatter(const std::vector<float>& from, std::vector<float> Activations::*to) const;
  void attend();
  void complete();
  void end_step();

  std::shared_ptr<const LlamaModel> model_;
  BatchConfig config_;
  std::vector<std::shared_ptr<KvArena>> arenas_;  // [num_layers]
  // The same blocks for sessions whose heads choose for themselves; none before the first such one is added.
  std::vector<std::shared_ptr<KvArena>> arenas_by_head_;
  std::once_flag made_arenas_by_head_;
  std::optional<std::chrono::steady_clock::time_point> clock_start_;

  std::mutex inbox_mutex_;  // guards the three that follow
  std::vector<SequencePointer> all_;
  std::vector<SequencePointer> inbox_;
  std::vector<int64_t> to_cancel_;

  std::deque<SequencePointer> waiting_;   // by priority and arrival
  std::vector<SequencePointer> running_;  // by priority and admission
  std::deque<SequencePointer> swapped_;   // by priority and admission
  std::optional<BatchStep> step_;
  SequencePointer stopped_;  // whose event the last advance gave
  int32_t next_step_index_ = 0;
  BatchStepColumns rows_;

  // Rows of all sequences, gathered for a product.
  LlamaWorkspace workspace_;
  std::vector<float> hidden_, query_, key_, value_, attention_, logits_;
  std::vector<int64_t> positions_;
};

}  // namespace octavo
