// Sessions on several threads at once, as the thread sanitizer looks at them: forks that share an arena, with
// a cancel and a look at the count of tokens from outside. Each must compute what it computes alone.
#include <atomic>
#include <thread>

#include "session_runs.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr int64_t kSteps = 60;

SessionConfig shared_pool_config() {
  SessionConfig config = session_config("paged-eviction", 4, 16);
  config.history = 5;
  return config;
}

AdvanceRequest forced_steps(unsigned seed) {
  AdvanceRequest request = steps(kSteps);
  request.forced_tokens = some_tokens(kSteps, seed);
  return request;
}

}  // namespace

TEST("forks that run on threads of their own compute what they compute alone") {
  const TinyLlama tiny(3);
  const auto model = tiny.open();
  constexpr unsigned kForks = 4;
  std::vector<std::vector<float>> expected, got(kForks);
  for (unsigned index = 0; index < kForks; ++index) {
    Session alone(model, shared_pool_config());
    alone.prefill(some_tokens(22, 1));
    advance(alone, steps(1));
    advance(alone, forced_steps(index));
    expected.push_back(logits_of(alone));
  }
  Session parent(model, shared_pool_config());
  parent.prefill(some_tokens(22, 1));
  advance(parent, steps(1));
  std::vector<std::unique_ptr<Session>> forks;
  for (unsigned index = 0; index < kForks; ++index) forks.push_back(parent.fork({}));
  std::vector<std::thread> threads;
  for (unsigned index = 0; index < kForks; ++index) {
    threads.emplace_back([&, index] {
      advance(*forks[index], forced_steps(index));
      got[index] = logits_of(*forks[index]);
      forks[index].reset();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (unsigned index = 0; index < kForks; ++index) REQUIRE(got[index] == expected[index]);
  REQUIRE_EQUAL(parent.layer_state(0).num_free_blocks,
                shared_pool_config().num_blocks - static_cast<int>(parent.layer_state(0).block_ids.size()));
}

TEST("a session that another thread cancels again and again comes to the same end") {
  const TinyLlama tiny(3);
  const auto model = tiny.open();
  Session alone(model, shared_pool_config()), session(model, shared_pool_config());
  for (Session* each : {&alone, &session}) {
    each->prefill(some_tokens(22, 1));
    advance(*each, steps(1));
  }
  advance(alone, steps(400, 0.7));
  std::atomic<bool> cancelled = true, done = false;  // the first cancel is there before the run
  int64_t num_cancels = 0, last_seen = 0;
  std::thread runner([&] {
    for (int64_t left = 400; left > 0;) {
      const AdvanceResult result = session.advance(steps(left, 0.7), cancelled);
      left -= result.num_steps;
      if (result.reason != StopReason::kCancelled) continue;
      ++num_cancels;
      cancelled.store(false);
    }
    done.store(true);
  });
  while (!done.load()) {
    cancelled.store(true);
    const int64_t seen = session.num_tokens();
    if (seen < last_seen) std::abort();
    last_seen = seen;
    std::this_thread::yield();
  }
  runner.join();
  std::printf("     %lld cancels\n", static_cast<long long>(num_cancels));
  REQUIRE(num_cancels > 0);
  REQUIRE(session.tokens() == alone.tokens());
  REQUIRE(logits_of(session) == logits_of(alone));
}
