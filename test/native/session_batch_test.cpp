// A sequence decodes to the same bits alone and in a batch, whoever runs beside it and however often it is
// swapped out; pools are free in the end; who cannot go on fails alone.
#include <cmath>
#include <limits>
#include <random>
#include <thread>

#include "batch_runs.h"
#include "helpers.h"
#include "test.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

BatchConfig batch_config(int block_size, int num_blocks, int max_sequences = 64) {
  return {.block_size = block_size, .num_blocks = num_blocks, .max_sequences = max_sequences, .watermark = 1};
}

// Rows without ids of blocks and counts of free ones, which depend on who else is there.
std::string comparable_bytes(TraceTables tables) {
  tables.blocks.block_id.clear();
  tables.evictions.block_id.clear();
  tables.memory.num_free_blocks.clear();
  std::string bytes = bytes_of(tables);
  ColumnBytes writer;
  tables.logits.visit(writer);
  return bytes + writer.bytes;
}

// What the sequence of a request comes to by itself, in a session of its own.
struct Alone {
  std::vector<int32_t> tokens;
  std::string trace;
};

Alone run_alone(const std::shared_ptr<const LlamaModel>& model, const BatchRequest& request, int block_size) {
  SessionConfig config = session_config("full", block_size, 0);
  config.policy = request.policy;
  config.seed = request.seed;
  config.record_logits = true;
  Session session(model, config);
  session.prefill(request.prompt);
  const AdvanceResult result =
      octavo::test::advance(session, steps(request.max_tokens + 1, request.sampling.temperature));
  REQUIRE_EQUAL(result.num_steps, request.max_tokens + 1);
  return {session.tokens(), comparable_bytes(session.take_trace())};
}

void require_as_alone(const std::shared_ptr<const LlamaModel>& model, const BatchRequest& request,
                      int block_size, const Batch::Added& added) {
  const Alone alone = run_alone(model, request, block_size);
  REQUIRE(added.session->tokens() == alone.tokens);
  const std::string trace = comparable_bytes(added.session->take_trace());
  REQUIRE(trace == alone.trace);
}

}  // namespace

TEST("every policy decodes in a batch as it does alone: tokens, logits, evictions, scores") {
  for_each_simd_level([](const std::string& level) {
    const auto model = TinyLlama(3).open();
    Batch batch(model, batch_config(4, 400));
    std::vector<BatchRequest> requests;
    std::vector<Batch::Added> added;
    unsigned seed = 0;
    for (const std::string& policy : native_policy_names())
      for (const int64_t length : {1, 11, 40}) {
        ++seed;
        requests.push_back(batch_request(policy, 16, some_tokens(length, seed), 30, seed % 2 ? 0.0 : 1.0));
      }
    for (const BatchRequest& request : requests) added.push_back(batch.add(request));
    run_to_end(batch);
    for (size_t i = 0; i < requests.size(); ++i) require_as_alone(model, requests[i], 4, added[i]);
    require_pools_free(batch, 400);
    std::printf("     %s, %zu sequences together\n", level.c_str(), requests.size());
  });
}

TEST("whoever comes when, a sequence is what it is alone; the newest is swapped out where blocks run out") {
  const auto model = TinyLlama(4).open();
  int64_t num_preempted = 0;
  for (const int num_blocks : {16, 19, 30, 60, 200}) {
    for (const int gap : {0, 1, 5}) {
      Batch batch(model, batch_config(4, num_blocks));
      std::vector<BatchRequest> requests;
      std::vector<Batch::Added> added;
      for (unsigned i = 0; i < 7; ++i) {
        const char* policy = i % 3 == 0 ? "full" : i % 3 == 1 ? "paged-eviction" : "h2o";
        requests.push_back(batch_request(policy, 16, some_tokens(3 + 5 * i, i), 24 + i, 1.0));
        added.push_back(batch.add(requests.back()));
        if (gap > 0) advance(batch, gap);
      }
      std::vector<uint8_t> before = batch.requests().state;
      for (BatchReason reason = BatchReason::kSteps; reason != BatchReason::kDone;) {
        reason = advance(batch, 1).reason;
        const std::vector<uint8_t> now = batch.requests().state;
        const auto is = [](uint8_t state, SequenceState other) {
          return state == static_cast<uint8_t>(other);
        };
        bool older_waits = false;  // swapped out, for the whole step
        for (size_t i = 0; i < now.size(); ++i) {
          const bool was_swapped = is(before[i], SequenceState::kSwapped);
          REQUIRE(!(older_waits && was_swapped && is(now[i], SequenceState::kRunning)));
          older_waits = older_waits || (was_swapped && is(now[i], SequenceState::kSwapped));
        }
        before = now;
      }
      for (size_t i = 0; i < requests.size(); ++i) {
        REQUIRE_EQUAL(static_cast<int>(state_of(batch, added[i].id)),
                      static_cast<int>(SequenceState::kFinished));
        require_as_alone(model, requests[i], 4, added[i]);
      }
      require_pools_free(batch, num_blocks);
      const RequestColumns rows = batch.requests();
      int64_t preempted = 0, preempted_by_step = 0, resumed = 0;
      for (const int32_t count : rows.num_preemptions) preempted += count;
      const BatchStepColumns by_step = batch.take_steps();
      for (const int32_t count : by_step.num_preempted) preempted_by_step += count;
      for (const int32_t count : by_step.num_resumed) resumed += count;
      REQUIRE_EQUAL(preempted, preempted_by_step);
      REQUIRE_EQUAL(preempted, resumed);
      REQUIRE_EQUAL(rows.num_preemptions[0], 0);  // the oldest never gives way
      if (num_blocks == 200) REQUIRE_EQUAL(preempted, 0);
      num_preempted += preempted;
    }
  }
  std::printf("     %d preemptions\n", static_cast<int>(num_preempted));
  REQUIRE(num_preempted > 20);
}

TEST("an evicting policy lets more sequences run at once in the same pool") {
  const auto model = TinyLlama(5).open();
  std::map<std::string, int32_t> most;
  for (const char* policy : {"full", "paged-eviction"}) {
    Batch batch(model, batch_config(4, 60));
    for (unsigned i = 0; i < 12; ++i) batch.add(batch_request(policy, 16, some_tokens(40, i), 20));
    run_to_end(batch);
    const BatchStepColumns rows = batch.take_steps();
    most[policy] = *std::max_element(rows.num_output_tokens.begin(), rows.num_output_tokens.end());
  }
  std::printf("     at once: full %d, paged-eviction %d\n", most["full"], most["paged-eviction"]);
  REQUIRE_EQUAL(most["full"], 5);         // 11 blocks each, and one free
  REQUIRE(most["paged-eviction"] >= 10);  // 5 blocks each, six at most in a step
}

TEST("what does not fit is refused when it is added; what grows beyond the pool fails alone") {
  const auto model = TinyLlama(6).open();
  Batch batch(model, batch_config(4, 8));
  REQUIRE_ERROR("ERR_OCTAVO_POOL_EXHAUSTED", batch.add(batch_request("full", 0, some_tokens(32, 1), 1)));
  REQUIRE_ERROR("ERR_OCTAVO_TOKEN", batch.add(batch_request("full", 0, {31}, 1)));
  REQUIRE_ERROR("ERR_OCTAVO_TOKEN", batch.add(batch_request("full", 0, {}, 1)));
  REQUIRE_ERROR("ERR_OCTAVO_BUDGET", batch.add(batch_request("h2o", 18, some_tokens(3, 1), 1)));
  REQUIRE_ERROR("ERR_OCTAVO_POSITION", batch.add(batch_request("full", 0, some_tokens(3, 1), 598)));
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", batch.add(batch_request("full", 0, some_tokens(3, 1), 5, -1.0)));
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", batch.cancel(0));
  REQUIRE(advance(batch, 5).reason == BatchReason::kDone);

  const Batch::Added whole = batch.add(batch_request("full", 0, some_tokens(32, 1), 0));
  const Batch::Added growing = batch.add(batch_request("full", 0, some_tokens(20, 2), 100));
  const BatchRequest small = batch_request("paged-eviction", 12, some_tokens(30, 3), 40);
  const Batch::Added other = batch.add(small);
  run_to_end(batch);
  REQUIRE_EQUAL(whole.session->num_tokens(), 32);
  REQUIRE(state_of(batch, growing.id) == SequenceState::kFailed);
  REQUIRE_EQUAL(batch.failure(growing.id)->code, "ERR_OCTAVO_POOL_EXHAUSTED");
  REQUIRE_EQUAL(growing.session->num_tokens(), 32);  // all that the pool takes
  require_as_alone(model, small, 4, other);
  require_pools_free(batch, 8);
}

TEST("a key that is not finite fails its sequence alone") {
  TinyLlama tiny(7);
  for (int i = 0; i < tiny.config.hidden_size; ++i)
    tiny.weights["model.embed_tokens.weight"][static_cast<size_t>(5 * tiny.config.hidden_size + i)] = NAN;
  const auto model = tiny.open();
  const auto without_five = [](std::vector<int32_t> tokens) {
    for (int32_t& token : tokens) token = token == 5 ? 6 : token;
    return tokens;
  };
  Batch batch(model, batch_config(4, 100));
  const BatchRequest sound = batch_request("paged-eviction", 12, without_five(some_tokens(20, 1)), 30);
  const Batch::Added first = batch.add(sound);
  const Batch::Added in_prompt = batch.add(batch_request("full", 0, {1, 2, 5, 3}, 30));
  // At temperature 1000 token 5 is drawn sooner or later.
  BatchRequest drawn = batch_request("full", 0, {1, 2, 3}, 300);
  drawn.sampling.temperature = 1000;
  drawn.seed = 3;
  const Batch::Added in_decode = batch.add(drawn);
  run_to_end(batch);
  for (const int64_t id : {in_prompt.id, in_decode.id}) {
    REQUIRE(state_of(batch, id) == SequenceState::kFailed);
    REQUIRE_EQUAL(batch.failure(id)->code, "ERR_OCTAVO_NAN");
  }
  REQUIRE(in_decode.session->num_tokens() > 3);
  REQUIRE(!batch.failure(first.id));
  require_as_alone(model, sound, 4, first);
  require_pools_free(batch, 100);
}

TEST("an end token ends its sequence, after its step") {
  const auto model = TinyLlama(8).open();
  BatchRequest request = batch_request("full", 0, some_tokens(9, 4), 25, 1.0);
  const std::vector<int32_t> free_run = run_alone(model, request, 4).tokens;
  request.end_tokens = {free_run[15]};
  const auto first = std::find(free_run.begin() + 9, free_run.end(), free_run[15]);
  Batch batch(model, batch_config(4, 50));
  const Batch::Added added = batch.add(request);
  run_to_end(batch);
  REQUIRE(added.session->tokens() == std::vector<int32_t>(free_run.begin(), first + 1));
}

TEST("a stop leaves the others where they are, and what is decided there is done") {
  const auto model = TinyLlama(9).open();
  Batch batch(model, batch_config(4, 100));
  std::vector<BatchRequest> requests;
  std::vector<Batch::Added> added;
  for (unsigned i = 0; i < 3; ++i) {
    requests.push_back(batch_request("paged-eviction", 12, some_tokens(18 + i, i), 20));
    added.push_back(batch.add(requests.back()));
  }
  BatchAdvance stopping;
  stopping.stops[1].evict = true;
  int num_stops = 0, num_in_prompt = 0;
  for (;;) {
    const BatchResult result = advance(batch, 3, stopping);
    if (result.reason == BatchReason::kDone) break;
    if (result.reason != BatchReason::kEvent) continue;
    ++num_stops;
    REQUIRE_EQUAL(result.sequence_id, 1);
    const EvictEvent& event = std::get<EvictEvent>(*result.event);
    num_in_prompt += event.phase == Phase::kPrefill;
    if (event.phase == Phase::kDecode) {
      const LayerState state = added[1].session->layer_state(event.layer);
      REQUIRE_EQUAL(state.block_ids[static_cast<size_t>(*event.logical_index)], *event.block_id);
    }
  }
  REQUIRE_EQUAL(num_in_prompt, 3);  // one a layer
  REQUIRE(num_stops > 6);
  for (size_t i = 0; i < 3; ++i) require_as_alone(model, requests[i], 4, added[i]);

  // A veto and another choice change what comes after; a decision where none is asked for is refused.
  const Batch::Added vetoed = batch.add(requests[1]);
  stopping.stops.clear();
  stopping.stops[vetoed.id].evict = true;
  BatchResult result = advance(batch, 100, stopping);
  while (std::get<EvictEvent>(*result.event).phase == Phase::kPrefill) result = advance(batch, 100, stopping);
  BatchAdvance veto;
  veto.decision = Decision{.replacement = {}, .scores = {}};
  REQUIRE_EQUAL(vetoed.session->layer_state(0).kv_len, 16);
  REQUIRE(advance(batch, 1, veto).reason == BatchReason::kSteps);
  REQUIRE_EQUAL(vetoed.session->layer_state(0).kv_len, 16);
  REQUIRE_EQUAL(vetoed.session->layer_state(1).kv_len, 12);
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", advance(batch, 1, veto));
  run_to_end(batch);
  require_pools_free(batch, 100);
}

TEST("cancelling takes effect before the next step, also of a sequence that stands inside one") {
  const auto model = TinyLlama(10).open();
  Batch batch(model, batch_config(4, 40, 2));
  std::vector<BatchRequest> requests;
  std::vector<Batch::Added> added;
  for (unsigned i = 0; i < 4; ++i) {
    requests.push_back(batch_request("paged-eviction", 12, some_tokens(18, i), 20));
    added.push_back(batch.add(requests.back()));
  }
  BatchAdvance stopping;
  stopping.stops[0].layer_end = true;
  REQUIRE(advance(batch, 1, stopping).reason == BatchReason::kEvent);  // inside the prompt of 0
  batch.cancel(0);
  REQUIRE(state_of(batch, 0) == SequenceState::kCancelled);  // at once
  require_pools_free(batch, 40);
  advance(batch, 4);
  REQUIRE(state_of(batch, 0) == SequenceState::kCancelled);
  REQUIRE_EQUAL(added[0].session->num_tokens(), 0);
  stopping.stops.clear();
  stopping.stops[1].layer_end = true;
  REQUIRE(advance(batch, 1, stopping).reason == BatchReason::kEvent);  // inside a step of 1 and 2
  stopping.stops.clear();
  stopping.stops[2].layer_end = true;
  REQUIRE_EQUAL(advance(batch, 1, stopping).sequence_id, 2);  // 1 has passed this place
  const int num_free_before = batch.pool_counts(0).num_free;
  batch.cancel(2);
  REQUIRE(state_of(batch, 2) == SequenceState::kCancelled);
  REQUIRE(batch.pool_counts(0).num_free > num_free_before);
  BatchAdvance late;
  late.decision = Decision{};  // on a sequence that has gone
  REQUIRE(advance(batch, 1, late).reason == BatchReason::kSteps);
  batch.cancel(1);
  batch.cancel(1);
  run_to_end(batch);
  batch.cancel(1);
  REQUIRE(advance(batch, 1).reason == BatchReason::kDone);
  REQUIRE(state_of(batch, 1) == SequenceState::kCancelled);
  require_as_alone(model, requests[3], 4, added[3]);
  require_pools_free(batch, 40);
}

TEST("a call that is stopped goes on from where it stood") {
  const auto model = TinyLlama(11).open();
  Batch batch(model, batch_config(4, 100));
  const BatchRequest request = batch_request("h2o", 12, some_tokens(30, 1), 30);
  const Batch::Added added = batch.add(request);
  const std::atomic<bool> cancelled = true;
  REQUIRE(batch.advance({}, cancelled).reason == BatchReason::kCancelled);
  std::atomic<bool> some_time = false;
  for (;;) {
    std::thread stopper([&] { some_time = true; });
    BatchAdvance many;
    many.max_steps = 5;
    const BatchResult result = batch.advance(many, some_time);
    stopper.join();
    some_time = false;
    if (result.reason == BatchReason::kDone) break;
  }
  require_as_alone(model, request, 4, added);
}

TEST("a sequence waits for its arrival, and the batch says how long") {
  const auto model = TinyLlama(12).open();
  Batch batch(model, batch_config(4, 100));
  batch.add(batch_request("full", 0, some_tokens(3, 1), 1));
  BatchRequest later = batch_request("full", 0, some_tokens(3, 2), 1);
  later.arrival_us = 50e3;
  const Batch::Added last = batch.add(later);
  BatchResult result;
  do result = advance(batch, 1);
  while (result.reason == BatchReason::kSteps);
  REQUIRE(result.reason == BatchReason::kIdle);
  REQUIRE(result.wait_us > 0 && result.wait_us <= 50e3);
  REQUIRE(state_of(batch, last.id) == SequenceState::kWaiting);
  std::this_thread::sleep_for(std::chrono::duration<double, std::micro>(result.wait_us));
  run_to_end(batch);
  const RequestColumns rows = batch.requests();
  REQUIRE(rows.admitted_us[1] >= 50e3 && rows.first_token_us[1] >= rows.admitted_us[1]);
}

TEST("any order of adding, cancelling and stepping keeps every sequence as alone and frees the pools") {
  const auto model = TinyLlama(13).open();
  for (unsigned round = 0; round < 12; ++round) {
    const int num_blocks = 14 + static_cast<int>(round) * 5;
    Batch batch(model, batch_config(4, num_blocks, 1 + static_cast<int>(round % 5)));
    std::mt19937 random(round);
    std::vector<BatchRequest> requests;
    std::vector<Batch::Added> added;
    const std::vector<std::string> policies = native_policy_names();
    for (int operation = 0; operation < 60; ++operation) {
      const unsigned kind = random() % 6;
      if (kind < 2) {
        const std::string& policy = policies[random() % policies.size()];
        requests.push_back(batch_request(policy, 12 + 4 * (random() % 3),
                                         some_tokens(1 + random() % 24, random()), random() % 20, 1.0));
        added.push_back(batch.add(requests.back()));
      } else if (kind == 2 && !added.empty()) {
        batch.cancel(added[random() % added.size()].id);
      } else {
        advance(batch, 1 + random() % 4);
      }
      const PoolCounts pool = batch.pool_counts(0);
      REQUIRE(pool.num_free >= 0 && pool.num_free <= pool.num_blocks);
    }
    run_to_end(batch);
    int num_finished = 0;
    for (size_t i = 0; i < added.size(); ++i) {
      const SequenceState state = state_of(batch, added[i].id);
      REQUIRE(state == SequenceState::kFinished || state == SequenceState::kCancelled);
      if (state == SequenceState::kFinished)
        require_as_alone(model, requests[i], 4, added[i]), ++num_finished;
    }
    REQUIRE(num_finished > 3);
    require_pools_free(batch, num_blocks);
  }
}
