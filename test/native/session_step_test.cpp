// A step as a state machine: stops and cancellations change nothing, failures take the step back, and
// requests are checked before anything happens.
#include <thread>

#include "evict/registry.h"
#include "session/engine.h"
#include "session_runs.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr int kBlockSize = 4;
constexpr int64_t kBudget = 16;

}  // namespace

TEST("stopping at every event, and being cancelled at random, gives the same run bit for bit") {
  const TinyLlama tiny(31);
  const auto model = tiny.open();
  const std::vector<int32_t> prompt = some_tokens(37, 2);
  for (const std::string& policy : native_policy_names()) {
    const SessionConfig config = session_config(policy, kBlockSize, kBudget);
    Run expected = run(model, config, prompt, 50, 0.8);

    Session session(model, config);
    session.prefill(prompt);
    AdvanceRequest request = steps(51, 0.8);
    request.stop = {.evict = true, .block_full = true, .layer = {}};
    int num_evict = 0, num_full = 0, num_cancelled = 0, num_calls = 0;
    std::atomic<bool> cancelled = false, over = false;
    std::thread canceller([&] {
      while (!over) {
        cancelled = true;
        std::this_thread::yield();
      }
    });
    std::string failure;
    try {
      while (request.max_steps > 0) {
        if (++num_calls % 7 == 0) cancelled = true;  // also where the thread never gets its turn
        const AdvanceResult result = session.advance(request, cancelled);
        cancelled = false;
        request.max_steps -= result.num_steps;
        if (result.reason == StopReason::kCancelled) {
          ++num_cancelled;
          continue;
        }
        if (!result.event) continue;
        REQUIRE(session.is_inside_step());
        if (const auto* event = std::get_if<EvictEvent>(&*result.event)) {
          ++num_evict;
          // Before it takes effect: what is to go is still there.
          if (event->granularity == Granularity::kBlock) {
            const LayerState state = session.layer_state(event->layer);
            REQUIRE_EQUAL(state.kv_len, kBudget + kBlockSize);
            REQUIRE_EQUAL(state.block_ids[static_cast<size_t>(*event->logical_index)], *event->block_id);
            REQUIRE_EQUAL(state.ref_counts[static_cast<size_t>(*event->logical_index)], 1);
            REQUIRE_EQUAL(static_cast<int>(event->positions.size()), kBlockSize);
          } else {
            REQUIRE_EQUAL(static_cast<int64_t>(event->positions.size()), 37 - kBudget);
            REQUIRE_EQUAL(session.layer_state(event->layer).kv_len, int64_t{0});
          }
        } else {
          const auto& full = std::get<BlockFullEvent>(*result.event);
          const LayerState state = session.layer_state(full.layer);
          REQUIRE_EQUAL(static_cast<int>(state.block_ids.size()), full.logical_index + 1);
          REQUIRE_EQUAL(state.block_ids.back(), full.block_id);
          REQUIRE_EQUAL(state.filled.back(), kBlockSize);
          ++num_full;
        }
      }
    } catch (const std::exception& error) {
      failure = error.what();
    }
    over = true;
    canceller.join();
    REQUIRE_EQUAL(failure, std::string());
    REQUIRE(session.tokens() == expected.tokens);
    REQUIRE(logits_of(session) == expected.logits.back());
    REQUIRE_EQUAL(num_evict, static_cast<int>(expected.trace.evictions.step_index.size()));
    // 50 decoded tokens on a table of 37 or of 16 live slots.
    REQUIRE_EQUAL(num_full, tiny.config.num_layers *
                                (policy == "full" ? (50 + 37 % kBlockSize) / kBlockSize : 50 / kBlockSize));
    REQUIRE(num_cancelled > 0);
    REQUIRE(bytes_of(session.take_trace()) == bytes_of(std::move(expected.trace)));
  }
}

TEST("a stop can be limited to one layer, and steps may go on past it without stops") {
  const TinyLlama tiny(31);
  Session session(tiny.open(), session_config("paged-eviction", kBlockSize, kBudget));
  session.prefill(some_tokens(20, 2));
  AdvanceRequest request = steps(1000);
  request.stop = {.evict = true, .block_full = false, .layer = 2};
  for (int stop = 0; stop < 5; ++stop) {
    const AdvanceResult result = advance(session, request);
    REQUIRE(result.reason == StopReason::kEvent);
    REQUIRE_EQUAL(std::get<EvictEvent>(*result.event).layer, 2);
  }
  REQUIRE(session.is_inside_step());
  REQUIRE_EQUAL(advance(session, steps(3)).num_steps, int64_t{3});
  REQUIRE(!session.is_inside_step());
  request.stop.layer = 3;
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", advance(session, request));
}

TEST("forced tokens, end tokens and requests that make no sense") {
  const TinyLlama tiny(34);
  const auto model = tiny.open();
  const SessionConfig config = session_config("random", kBlockSize, kBudget);
  Session session(model, config);
  REQUIRE_ERROR("ERR_OCTAVO_PREFILL", advance(session, steps(1)));
  REQUIRE_ERROR("ERR_OCTAVO_PREFILL", session.logits());
  REQUIRE_ERROR("ERR_OCTAVO_TOKEN", session.prefill({}));
  REQUIRE_ERROR("ERR_OCTAVO_TOKEN", session.prefill({1, 31}));
  REQUIRE_ERROR("ERR_OCTAVO_TOKEN", session.prefill({-1}));
  REQUIRE_ERROR("ERR_OCTAVO_POSITION", session.prefill(some_tokens(601, 1)));
  session.prefill({1, 2, 3});
  AdvanceRequest request = steps(4);
  request.forced_tokens = {7, 8};
  request.end_tokens = {7, 8};
  const AdvanceResult result = advance(session, request);
  REQUIRE_ERROR("ERR_OCTAVO_PREFILL", session.prefill({1}));
  REQUIRE(result.num_steps >= 3);  // forced tokens do not end the run
  REQUIRE_EQUAL(session.tokens()[3], 7);
  REQUIRE_EQUAL(session.tokens()[4], 8);
  TraceTables trace = session.take_trace();
  REQUIRE((std::vector<uint8_t>(trace.steps.forced.begin(), trace.steps.forced.begin() + 3) ==
           std::vector<uint8_t>{0, 1, 1}));

  // The token that greedy decoding picks next, as end token.
  Session peek(model, config);
  peek.prefill(session.tokens());
  advance(peek, steps(2));
  const int32_t next = peek.tokens().back();
  Session ended(model, config);
  ended.prefill(session.tokens());
  request = steps(50);
  request.end_tokens = {next};
  const AdvanceResult end = advance(ended, request);
  REQUIRE(end.reason == StopReason::kEndToken);
  REQUIRE_EQUAL(*end.token, next);
  REQUIRE_EQUAL(end.num_steps, int64_t{2});
  REQUIRE_EQUAL(ended.num_tokens(), peek.num_tokens());

  const std::string before = state_of(session);
  request = steps(3);
  request.forced_tokens = {5, 99};
  REQUIRE_ERROR("ERR_OCTAVO_TOKEN", advance(session, request));
  request = steps(1, -1);
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", advance(session, request));
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", advance(session, steps(-1)));
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", session.layer_state(3));
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", session.layer_state(-1));
  REQUIRE(state_of(session) == before);
  SessionConfig bad = config;
  bad.block_size = 257;
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", Session(model, bad));
  bad = config;
  bad.num_blocks = 0;
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", Session(model, bad));
}

TEST("attention on plain arrays refuses what would be read out of bounds") {
  const std::vector<float> query(8, 0.5F), cache(2 * 2 * 4 * 4, 0.25F);
  const auto call = [&](const std::function<void(PagedAttentionCall&)>& change) {
    PagedAttentionCall request{.num_query_heads = 2,
                               .num_kv_heads = 2,
                               .head_dim = 4,
                               .block_size = 4,
                               .query = query.data(),
                               .query_size = 8,
                               .key_cache = cache.data(),
                               .key_cache_size = 64,
                               .value_cache = cache.data(),
                               .value_cache_size = 64,
                               .block_table = {1, 0},
                               .kv_len = 7,
                               .scale = 0.5F};
    change(request);
    return paged_attention_on_arrays(request);
  };
  const std::vector<float> expected(8, 0.25F);
  const std::vector<float> output = call([](auto&) {});
  compare("constant values", output.data(), expected.data(), 8, 1e-6, 1e-6);
  const std::vector<std::function<void(PagedAttentionCall&)>> mistakes = {
      [](auto& request) { request.kv_len = 0; },
      [](auto& request) { request.kv_len = 9; },
      [](auto& request) { request.kv_len = int64_t{1} << 53; },
      [](auto& request) {
        request.block_table = {2, 0};
      },
      [](auto& request) {
        request.block_table = {1, -1};
      },
      [](auto& request) { request.query_size = 7; },
      [](auto& request) { request.key_cache_size = 63; },
      [](auto& request) { request.value_cache_size = 32; },
      [](auto& request) { request.num_query_heads = 3; },
      [](auto& request) { request.num_kv_heads = 0; },
      [](auto& request) { request.head_dim = 1 << 30; },
      [](auto& request) { request.block_size = 1 << 30; },
      [](auto& request) {
        request.num_kv_heads = request.head_dim = request.block_size = request.num_query_heads = 1 << 30;
      },
  };
  for (const auto& mistake : mistakes) REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", call(mistake));
}

TEST("a random model larger than memory is refused before it is made") {
  LlamaConfig config = TinyLlama(1).config;
  config.num_layers = 4096;
  config.hidden_size = config.intermediate_size = 1 << 20;
  REQUIRE_ERROR("ERR_OCTAVO_MEMORY", make_random_model(config, 1));
}
