// A sequence of a batch that goes back to before its prompt waits, is let in and decodes as one that has just
// been added: from wherever it stood.
#include <algorithm>

#include "batch_runs.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr int kBlockSize = 4;

Batch make_batch(const std::shared_ptr<const LlamaModel>& model, int num_blocks) {
  return Batch(model, {.block_size = kBlockSize,
                       .num_blocks = num_blocks,
                       .kv_dtype = DType::kF32,
                       .max_sequences = 8,
                       .watermark = 0});
}

// Tokens, and rows but for ids and counts of blocks.
std::string rows_of(Session& session) {
  const TraceTables trace = session.take_trace();
  ColumnBytes writer;
  writer.append(session.tokens());
  writer.append(trace.evictions.positions.values);
  writer.append(trace.blocks.positions.values);
  writer.append(trace.memory.live_tokens);
  return writer.bytes;
}

// What a session by itself comes to.
std::string run_alone(const std::shared_ptr<const LlamaModel>& model, const BatchRequest& request) {
  SessionConfig config = session_config("full", kBlockSize, 0);
  config.policy = request.policy;
  config.seed = request.seed;
  Session session(model, config);
  session.prefill(request.prompt);
  advance(session, steps(request.max_tokens + 1, request.sampling.temperature));
  return rows_of(session);
}

// Goes back; the rows up to now are forgotten, as the SDK does with those it has taken.
void begin_anew(Batch& batch, const Batch::Added& added) {
  added.session->take_trace();
  REQUIRE_EQUAL(batch.rewind(added.id, RewindUnit::kTokens, 0), 0);
  REQUIRE_EQUAL(added.session->num_tokens(), 0);
  REQUIRE(state_of(batch, added.id) == SequenceState::kWaiting);
}

}  // namespace

TEST("every policy: from the middle, from its end, cancelled or swapped out, to the same bits") {
  const auto model = TinyLlama(3).open();
  int num_swapped = 0;
  for (const std::string& policy : native_policy_names())
    for (const int num_blocks : {12, 200}) {
      Batch batch = make_batch(model, num_blocks);
      const BatchRequest request = batch_request(policy, 12, some_tokens(14, 2), 24, 1.0);
      const std::string expected = run_alone(model, request);
      const Batch::Added other = batch.add(batch_request("full", 0, some_tokens(9, 1), 24, 1.0));
      const Batch::Added added = batch.add(request);
      while (added.session->next_step_index() < 5) advance(batch, 1);
      begin_anew(batch, added);
      bool was_swapped = false;
      for (int step = 0; step < 20 && !was_swapped; ++step) {
        advance(batch, 1);
        was_swapped = state_of(batch, added.id) == SequenceState::kSwapped;
      }
      num_swapped += was_swapped;
      if (was_swapped) begin_anew(batch, added);
      run_to_end(batch);
      REQUIRE(rows_of(*added.session) == expected);
      begin_anew(batch, added);
      run_to_end(batch);
      REQUIRE(rows_of(*added.session) == expected);
      begin_anew(batch, added);
      advance(batch, 3);
      batch.cancel(added.id);
      advance(batch, 1);
      begin_anew(batch, added);
      run_to_end(batch);
      REQUIRE(rows_of(*added.session) == expected);
      const RequestColumns requests = batch.requests();
      REQUIRE_EQUAL(requests.num_output_tokens[1], 24);
      REQUIRE(requests.num_decoded_tokens[1] > 3 * 24);
      REQUIRE_EQUAL(other.session->num_tokens(), 9 + 24);
      require_pools_free(batch, num_blocks);
    }
  REQUIRE(num_swapped > 0);
}

TEST(
    "from a stop inside its prompt or a step; while it waits nothing changes; a snapshot is there after it") {
  const auto model = TinyLlama(4).open();
  Batch batch = make_batch(model, 60);
  const BatchRequest request = batch_request("key-diff", 12, some_tokens(21, 2), 20);
  const std::string expected = run_alone(model, request);
  const Batch::Added other = batch.add(batch_request("full", 0, some_tokens(9, 1), 20));
  const Batch::Added added = batch.add(request);
  begin_anew(batch, added);
  BatchAdvance stopping;
  stopping.stops[added.id].evict = true;
  for (int stop = 0; stop < 6; ++stop) {
    REQUIRE(advance(batch, 50, stopping).reason == BatchReason::kEvent);
    if (stop % 2 == 1) begin_anew(batch, added);
  }
  REQUIRE(advance(batch, 50, stopping).reason == BatchReason::kEvent);
  begin_anew(batch, added);
  while (added.session->next_step_index() < 9) advance(batch, 1);
  const int64_t snapshot = batch.take_snapshot(added.id);
  const std::vector<int32_t> tokens = added.session->tokens();
  begin_anew(batch, added);
  run_to_end(batch);
  REQUIRE(rows_of(*added.session) == expected);
  batch.rewind_to_snapshot(added.id, snapshot);
  REQUIRE(added.session->tokens() == tokens);
  run_to_end(batch);
  REQUIRE_EQUAL(added.session->num_tokens(), 41);
  REQUIRE_EQUAL(other.session->num_tokens(), 29);
  added.session->drop_snapshot(snapshot);
  require_pools_free(batch, 60);
}

TEST("a fork computes the prompt with its own policy; one that the pools cannot take fails alone") {
  const auto model = TinyLlama(5).open();
  Batch batch = make_batch(model, 9);
  const BatchRequest request = batch_request("tova", 12, some_tokens(40, 3), 6);
  const Batch::Added added = batch.add(request);
  advance(batch, 3);
  BatchRequest changed = request;
  changed.policy.name = "streaming-llm";
  changed.policy.budget = 16;
  BatchFork own;
  own.session.policy = changed.policy;
  const Batch::Added fork = batch.fork(added.id, own);
  own.session.policy->name = "full";
  own.session.policy->budget.reset();
  const Batch::Added greedy = batch.fork(added.id, own);
  begin_anew(batch, fork);
  batch.rewind(greedy.id, RewindUnit::kTokens, 0);
  REQUIRE(state_of(batch, greedy.id) == SequenceState::kFailed);
  REQUIRE_EQUAL(batch.failure(greedy.id)->code, "ERR_OCTAVO_POOL_EXHAUSTED");
  run_to_end(batch);
  REQUIRE(rows_of(*fork.session) == run_alone(model, changed));
  REQUIRE_EQUAL(added.session->num_tokens(), 46);
  require_pools_free(batch, 9);
}
