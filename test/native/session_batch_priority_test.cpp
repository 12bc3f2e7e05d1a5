// Priorities decide when a sequence is computed, never what.
#include "batch_runs.h"
#include "helpers.h"
#include "test.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

BatchRequest request_of(int priority, unsigned seed, int64_t num_prompt_tokens = 8) {
  BatchRequest request = batch_request("full", 0, some_tokens(num_prompt_tokens, seed), 24, 1.0);
  request.priority = priority;
  return request;
}

}  // namespace

TEST("lower priorities are let in and come back first, and give way last; what is decoded is the same") {
  const auto model = TinyLlama(14).open();
  Batch batch(model, {.block_size = 4, .num_blocks = 17, .max_sequences = 3, .watermark = 1});
  std::vector<BatchRequest> requests;
  std::vector<Batch::Added> added;
  const auto add = [&](int priority, int64_t num_prompt_tokens = 8) {
    requests.push_back(request_of(priority, static_cast<unsigned>(requests.size()), num_prompt_tokens));
    added.push_back(batch.add(requests.back()));
  };
  for (const int priority : {0, 2, 1, 1}) add(priority);
  BatchRequest later = request_of(-5, 9);  // first by priority, and holds up nobody until it comes
  later.arrival_us = 1e12;
  const int64_t to_come = batch.add(later).id;
  advance(batch, 1);
  for (const int64_t first : {0, 2, 3}) REQUIRE(state_of(batch, first) == SequenceState::kRunning);
  REQUIRE(state_of(batch, 1) == SequenceState::kWaiting);
  add(-1, 44);  // does not fit beside any that is swapped out
  const int64_t urgent = added.back().id;
  const auto running = [&](int64_t id) { return state_of(batch, id) == SequenceState::kRunning; };
  int num_waited = 0;
  while (state_of(batch, urgent) == SequenceState::kWaiting) {
    const bool second = running(2), third = running(3);
    REQUIRE(advance(batch, 1).reason == BatchReason::kSteps);
    if (running(urgent)) break;
    REQUIRE((second || !running(2)) && (third || !running(3)));  // who is swapped out waits for it
    REQUIRE(++num_waited < 100);
  }
  REQUIRE(!running(2) || !running(3));
  for (int calls = 0; advance(batch, 1).reason == BatchReason::kSteps;) REQUIRE(++calls < 1000);
  const RequestColumns rows = batch.requests();
  const auto of = [](const auto& column, int64_t id) { return column[static_cast<size_t>(id)]; };
  REQUIRE(of(rows.admitted_us, 0) < of(rows.admitted_us, urgent));  // nobody who runs makes way for a prompt
  REQUIRE(of(rows.admitted_us, urgent) < of(rows.admitted_us, 1));
  REQUIRE(of(rows.finished_us, urgent) < of(rows.finished_us, 1));
  REQUIRE_EQUAL(of(rows.num_preemptions, 0) + of(rows.num_preemptions, urgent), 0);
  REQUIRE(rows.num_preemptions[2] + rows.num_preemptions[3] > 0);
  REQUIRE_EQUAL(of(rows.priority, urgent), -1);
  for (size_t i = 0; i < requests.size(); ++i) {
    SessionConfig config = session_config("full", 4, 0);
    Session alone(model, config);
    alone.prefill(requests[i].prompt);
    advance(alone, steps(25, 1));
    REQUIRE(added[i].session->tokens() == alone.tokens());
  }
  REQUIRE(state_of(batch, to_come) == SequenceState::kWaiting);
  require_pools_free(batch, 17);
}

TEST("a fork has its parent's priority") {
  const auto model = TinyLlama(15).open();
  Batch batch(model, {.block_size = 4, .num_blocks = 40});
  batch.add(request_of(7, 1));
  advance(batch, 3);
  batch.fork(0, {});
  REQUIRE_EQUAL(batch.requests().priority[1], 7);
  run_to_end(batch);
  require_pools_free(batch, 40);
}
