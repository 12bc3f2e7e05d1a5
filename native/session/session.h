// One sequence through a model with a paged, evicting cache. A step is a resumable state machine: a stop
// returns in its middle, and the next advance goes on from exactly there, so stops change nothing but wall
// time.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "cache/kv_cache.h"
#include "evict/policy.h"
#include "model/llama.h"
#include "session/events.h"
#include "session/step.h"
#include "trace/recorder.h"

namespace octavo {

struct SessionConfig {
  int block_size = 16;  // slots per block, 1 to 256
  int num_blocks = 0;   // physical blocks in each layer's pool
  PolicyConfig policy;
  uint64_t seed = 0;  // key of every random choice
  bool record_blocks = false;
};

// One thread at a time, except num_tokens. A step that throws is taken back in all layers.
class Session {
 public:
  // Throws ERR_OCTAVO_ARGUMENT, ERR_OCTAVO_BUDGET, ERR_OCTAVO_MEMORY.
  Session(std::shared_ptr<const LlamaModel> model, const SessionConfig& config);

  // Takes the prompt as input of the next step. Throws ERR_OCTAVO_PREFILL unless the session is empty,
  // ERR_OCTAVO_TOKEN, ERR_OCTAVO_POSITION.
  void prefill(std::vector<int32_t> tokens);

  // Looks at `cancelled` at each layer boundary. Throws ERR_OCTAVO_PREFILL without a prompt,
  // ERR_OCTAVO_POSITION, ERR_OCTAVO_POOL_EXHAUSTED, ERR_OCTAVO_NAN, ERR_OCTAVO_TOKEN, ERR_OCTAVO_ARGUMENT,
  // ERR_OCTAVO_TRACE.
  AdvanceResult advance(const AdvanceRequest& request, const std::atomic<bool>& cancelled);

  const LlamaConfig& model_config() const { return model_->config(); }
  // Tokens seen, which is the next RoPE index. From any thread.
  int64_t num_tokens() const { return num_tokens_.load(std::memory_order_relaxed); }
  const std::vector<int32_t>& tokens() const { return tokens_; }
  // Whether a stop left a step under way.
  bool is_inside_step() const { return step_.has_value(); }
  // f32 [vocab_size], after the last completed step. Throws ERR_OCTAVO_PREFILL before the first.
  const Tensor& logits() const;
  // Throws ERR_OCTAVO_ARGUMENT when there is no such layer.
  const KvCache& layer_cache(int64_t layer) const;
  LayerState layer_state(int64_t layer) const;
  TraceTables take_trace() { return recorder_.take(); }

 private:
  struct Layer {
    KvCache cache;
    int32_t num_nan_scores = 0;
    int32_t num_nan_scores_before_step = 0;
  };

  // session.cpp
  void check_request(const AdvanceRequest& request) const;
  void begin_step(const AdvanceRequest& request, size_t& num_forced_used);
  void require_position(int64_t num_tokens) const;
  void require_blocks(int64_t num_new_tokens) const;
  std::optional<Event> run_step(const StopConditions& stop, const std::atomic<bool>& cancelled);
  void complete_step();
  void roll_back_step();

  // layer_step.cpp: each runs the current layer to its end, or to a stop.
  std::optional<Event> decode_layer(const StopConditions& stop);
  std::optional<Event> prefill_layer(const StopConditions& stop);
  void project();
  void choose_block();
  void choose_tokens();
  void page_prompt();
  void finish_layer(int64_t first_token);
  bool announces(bool wanted, const StopConditions& stop);
  EvictEvent evict_event() const;
  void note_eviction(EvictEvent event, bool freed);

  // step_record.cpp
  void record_step(float entropy);

  std::shared_ptr<const LlamaModel> model_;
  SessionConfig config_;
  std::shared_ptr<const Policy> policy_;
  std::vector<Layer> layers_;
  std::vector<int32_t> prompt_;  // given and not yet run
  std::vector<int32_t> tokens_;
  std::atomic<int64_t> num_tokens_ = 0;
  int64_t next_step_index_ = 0;
  Tensor logits_;
  double log_sum_exp_ = 0;  // of logits_
  std::optional<Step> step_;
  Activations activations_;
  LlamaWorkspace workspace_;
  std::vector<float> next_logits_;    // [vocab_size], until the step is known to be sound
  std::vector<float> probabilities_;  // scratch
  Recorder recorder_;
};

}  // namespace octavo
