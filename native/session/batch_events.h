// What a batch is asked to do, what it answers and what it records: plain values, the C++ side of the
// contract in addon.ts. Times are microseconds on the batch's clock, which starts with its first advance.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "evict/policy.h"
#include "session/checkpoint.h"
#include "session/events.h"

namespace octavo {

struct BatchConfig {
  int block_size = 16;           // slots per block, 1 to 256
  int num_blocks = 0;            // physical blocks in each layer's pool
  DType kv_dtype = DType::kF32;  // of cached keys and values: f32, bf16 or f16
  int max_sequences = 64;        // that run at once
  int watermark = 0;             // blocks of each pool that stay free when a sequence is let in beside others
};

struct BatchRequest {
  std::vector<int32_t> prompt;
  int64_t max_tokens = 1;  // to decode
  PolicyConfig policy;
  uint64_t seed = 0;
  Sampling sampling;
  std::vector<int32_t> end_tokens;
  double arrival_us = 0;  // not before it is added
  int32_t priority = 0;   // lower ones are let in and come back first, and give way last
  bool record_blocks = false;
  bool record_logits = false;
  int64_t history = 0;  // completed steps that rewind can go back by, at most
};

// What a fork of a sequence does differently from here on.
struct BatchFork {
  ForkConfig session;
  std::optional<int64_t> max_tokens;  // decoded since the prompt, those before the fork among them
  std::optional<Sampling> sampling;
  std::optional<std::vector<int32_t>> end_tokens;
};

// Codes into the names of the contract.
enum class SequenceState : uint8_t { kWaiting, kRunning, kSwapped, kFinished, kCancelled, kFailed };

struct BatchAdvance {
  int64_t max_steps = 1;
  std::map<int64_t, StopConditions> stops;  // by id of a sequence
  std::optional<Decision> decision;         // of the sequence that the last advance stopped in
};

enum class BatchReason {
  kSteps,      // max_steps are done
  kDone,       // no sequence is left to run
  kIdle,       // the next sequence arrives in wait_us
  kEvent,      // stopped inside a step of sequence_id
  kCancelled,  // stop was asked for
};

struct BatchResult {
  BatchReason reason = BatchReason::kSteps;
  int64_t num_steps = 0;  // completed by this call
  double wait_us = 0;
  int64_t sequence_id = 0;
  std::optional<Event> event;
};

// One row a sequence, as it stands; a time that has not come is NaN, as is the parent of one that was added.
struct RequestColumns {
  std::vector<int32_t> sequence_id;
  std::vector<double> parent_id;
  std::vector<uint8_t> state;
  std::vector<int32_t> priority;
  std::vector<double> arrival_us, admitted_us, first_token_us, finished_us;
  std::vector<int32_t> num_prompt_tokens, num_output_tokens, num_decoded_tokens, num_preemptions,
      num_blocks_peak;

  // Calls visit(name, column) for each column, in the schema's order.
  template <typename Visit>
  void visit(Visit&& visit) {
    visit("sequence_id", sequence_id);
    visit("parent_id", parent_id);
    visit("state", state);
    visit("priority", priority);
    visit("arrival_us", arrival_us);
    visit("admitted_us", admitted_us);
    visit("first_token_us", first_token_us);
    visit("finished_us", finished_us);
    visit("num_prompt_tokens", num_prompt_tokens);
    visit("num_output_tokens", num_output_tokens);
    visit("num_decoded_tokens", num_decoded_tokens);
    visit("num_preemptions", num_preemptions);
    visit("num_blocks_peak", num_blocks_peak);
  }
};

// One row a step of the batch; counts of sequences and blocks are those after it.
struct BatchStepRow {
  double start_us = 0;
  int32_t num_output_tokens = 0;  // one of each sequence that decoded
  int32_t num_waiting = 0, num_running = 0, num_swapped = 0;
  int32_t num_admitted = 0, num_preempted = 0, num_resumed = 0, num_ended = 0;
  int32_t num_free_blocks = 0;  // of the layer that has fewest
  int32_t num_prompt_tokens = 0;
  double swapped_bytes = 0;  // out and back
  double total_us = 0, swap_us = 0, prefill_us = 0, products_us = 0, attention_us = 0, cache_us = 0,
         sample_us = 0;
};

struct BatchStepColumns {
  std::vector<int32_t> batch_step_index;
  std::vector<double> start_us;
  std::vector<int32_t> num_running, num_waiting, num_swapped, num_admitted, num_preempted, num_resumed,
      num_ended, num_free_blocks, num_prompt_tokens, num_output_tokens;
  std::vector<double> swapped_bytes, total_us, swap_us, prefill_us, products_us, attention_us, cache_us,
      sample_us;

  void record(const BatchStepRow& row, int32_t index);
  template <typename Visit>
  void visit(Visit&& visit) {
    visit("batch_step_index", batch_step_index);
    visit("start_us", start_us);
    visit("num_running", num_running);
    visit("num_waiting", num_waiting);
    visit("num_swapped", num_swapped);
    visit("num_admitted", num_admitted);
    visit("num_preempted", num_preempted);
    visit("num_resumed", num_resumed);
    visit("num_ended", num_ended);
    visit("num_free_blocks", num_free_blocks);
    visit("num_prompt_tokens", num_prompt_tokens);
    visit("num_output_tokens", num_output_tokens);
    visit("swapped_bytes", swapped_bytes);
    visit("total_us", total_us);
    visit("swap_us", swap_us);
    visit("prefill_us", prefill_us);
    visit("products_us", products_us);
    visit("attention_us", attention_us);
    visit("cache_us", cache_us);
    visit("sample_us", sample_us);
  }
};

struct SequenceFailure {
  std::string code, message;
};

}  // namespace octavo
