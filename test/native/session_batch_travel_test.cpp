// Sequences of a batch that are snapshotted, rewound and forked are what single sessions are that go through
// the same, whoever runs beside them and however often blocks run out.
#include <random>

#include "batch_runs.h"
#include "helpers.h"
#include "test.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr int kBlockSize = 4;

BatchRequest sampled_request(const std::string& policy, int64_t budget, std::vector<int32_t> prompt,
                             int64_t max_tokens, int64_t history = 0) {
  BatchRequest request = batch_request(policy, budget, std::move(prompt), max_tokens, 1.0);
  request.history = history;
  return request;
}

// Without ids of blocks, whether one was freed, and counts of blocks: these depend on who else is there.
std::string rows_of(Session& session) {
  TraceTables tables = session.take_trace();
  tables.blocks.block_id.clear();
  tables.evictions.block_id.clear();
  tables.evictions.freed.clear();
  tables.memory.num_free_blocks.clear();
  tables.memory.num_parked_blocks.clear();
  return bytes_of(tables);
}

// A sequence and a session by itself that goes through the same.
struct Pair {
  int64_t id;
  std::shared_ptr<Session> sequence;
  std::unique_ptr<Session> alone;
  std::vector<std::pair<int64_t, int64_t>> snapshots;  // ids of both

  void catch_up() const {
    const int64_t behind = sequence->next_step_index() - alone->next_step_index();
    REQUIRE(behind >= 0);
    if (behind > 0) REQUIRE_EQUAL(octavo::test::advance(*alone, steps(behind, 1)).num_steps, behind);
  }
  void require_equal() const {
    catch_up();
    REQUIRE(sequence->tokens() == alone->tokens());
    if (sequence->next_step_index() == 0) return;
    REQUIRE(logits_of(*sequence) == logits_of(*alone));
    const std::string rows = rows_of(*alone);
    REQUIRE(rows_of(*sequence) == rows);
  }
};

Pair add(const std::shared_ptr<const LlamaModel>& model, Batch& batch, const BatchRequest& request) {
  SessionConfig config = session_config("full", kBlockSize, 0);
  config.num_blocks = 4000;
  config.policy = request.policy;
  config.seed = request.seed;
  config.history = request.history;
  config.record_logits = true;
  auto alone = std::make_unique<Session>(model, config);
  alone->prefill(request.prompt);
  const Batch::Added added = batch.add(request);
  return {added.id, added.session, std::move(alone), {}};
}

void take_snapshot(Batch& batch, Pair& pair) {
  pair.catch_up();
  pair.snapshots.emplace_back(batch.take_snapshot(pair.id), pair.alone->take_snapshot());
}

void rewind(Batch& batch, const Pair& pair, size_t snapshot) {
  pair.require_equal();
  const int64_t next = batch.rewind_to_snapshot(pair.id, pair.snapshots[snapshot].first);
  pair.alone->rewind_to_snapshot(pair.snapshots[snapshot].second);
  REQUIRE_EQUAL(next, pair.alone->next_step_index());
}

Pair fork(Batch& batch, const Pair& pair, const ForkConfig& changes) {
  pair.catch_up();
  BatchFork of_batch;
  of_batch.session = changes;
  const Batch::Added added = batch.fork(pair.id, of_batch);
  return {added.id, added.session, pair.alone->fork(changes), {}};
}

ForkConfig with_policy(const std::string& name, int64_t budget, uint64_t seed) {
  ForkConfig changes;
  changes.policy = PolicyConfig{};
  changes.policy->name = name;
  if (name != "full") changes.policy->budget = budget;
  changes.policy->seed = seed;
  changes.seed = seed;
  return changes;
}

void release_all(const std::vector<Pair>& pairs) {
  for (const Pair& pair : pairs)
    for (const auto& [id, alone] : pair.snapshots) pair.sequence->drop_snapshot(id);
}

}  // namespace

TEST("every policy: rewound and forked beside others, a sequence is what it is alone") {
  const auto model = TinyLlama(3).open();
  for (const std::string& policy : native_policy_names()) {
    for (const int num_blocks : {14, 200}) {
      Batch batch(model, {.block_size = kBlockSize, .num_blocks = num_blocks, .watermark = 0});
      std::vector<Pair> pairs;
      pairs.push_back(add(model, batch, sampled_request("full", 0, some_tokens(9, 1), 24)));
      pairs.push_back(add(model, batch, sampled_request(policy, 12, some_tokens(14, 2), 24)));
      while (pairs[1].sequence->next_step_index() < 5) advance(batch, 1);
      take_snapshot(batch, pairs[1]);
      for (int i = 0; i < 12; ++i) advance(batch, 1);
      pairs.push_back(fork(batch, pairs[1], with_policy("streaming-llm", 12, 5)));
      pairs.push_back(fork(batch, pairs[1], {}));
      advance(batch, 3);
      rewind(batch, pairs[1], 0);
      run_to_end(batch);
      for (const Pair& pair : pairs) pair.require_equal();
      REQUIRE(pairs[3].sequence->tokens() == pairs[1].sequence->tokens());
      release_all(pairs);
      require_pools_free(batch, num_blocks);
    }
  }
}

TEST("a fork takes no blocks until one of both writes, and a snapshot none at all") {
  const auto model = TinyLlama(4).open();
  Batch batch(model, {.block_size = kBlockSize, .num_blocks = 40});
  std::vector<Pair> pairs;
  pairs.push_back(add(model, batch, sampled_request("full", 0, some_tokens(10, 1), 30)));
  advance(batch, 1);  // 11 tokens in three blocks
  REQUIRE_EQUAL(batch.pool_counts(0).num_free, 37);
  take_snapshot(batch, pairs[0]);
  pairs.push_back(fork(batch, pairs[0], {}));
  pairs.push_back(fork(batch, pairs[0], with_policy("full", 0, 9)));
  REQUIRE_EQUAL(batch.pool_counts(0).num_free, 37);
  REQUIRE_EQUAL(pairs[0].sequence->layer_state(0).ref_counts[0], 4);
  advance(batch, 1);  // the second and the third to write copy the partial block
  REQUIRE_EQUAL(batch.pool_counts(0).num_free, 35);
  const RequestColumns rows = batch.requests();
  REQUIRE(std::isnan(rows.parent_id[0]) && rows.parent_id[1] == 0 && rows.parent_id[2] == 0);
  REQUIRE_EQUAL(rows.num_output_tokens[2], 2);
  REQUIRE_EQUAL(rows.num_decoded_tokens[2], 1);
  run_to_end(batch);
  for (const Pair& pair : pairs) pair.require_equal();
  REQUIRE(pairs[2].sequence->tokens() != pairs[0].sequence->tokens());
  REQUIRE_EQUAL(batch.pool_counts(0).num_free, 37);  // the snapshot's are parked
  REQUIRE_EQUAL(batch.pool_counts(0).num_parked, 3);
}

TEST("snapshots leave the pools before anybody is swapped out, and bring back one that has ended") {
  const auto model = TinyLlama(5).open();
  Batch batch(model, {.block_size = kBlockSize, .num_blocks = 12, .watermark = 0});
  std::vector<Pair> pairs;
  pairs.push_back(add(model, batch, sampled_request("paged-eviction", 12, some_tokens(12, 1), 40)));
  advance(batch, 6);
  take_snapshot(batch, pairs[0]);
  advance(batch, 12);
  take_snapshot(batch, pairs[0]);
  run_to_end(batch);
  REQUIRE(state_of(batch, 0) == SequenceState::kFinished);
  REQUIRE(batch.pool_counts(0).num_free < 8);
  pairs.push_back(add(model, batch, sampled_request("full", 0, some_tokens(40, 2), 8)));  // all twelve blocks
  run_to_end(batch);
  REQUIRE(state_of(batch, 1) == SequenceState::kFinished);
  REQUIRE_EQUAL(batch.requests().num_preemptions[1], 0);
  require_pools_free(batch, 12);
  const std::vector<int32_t> first_time = pairs[0].sequence->tokens();
  for (const size_t snapshot : {1, 0}) {
    rewind(batch, pairs[0], snapshot);
    REQUIRE(state_of(batch, 0) == SequenceState::kSwapped);
    REQUIRE(std::isnan(batch.requests().finished_us[0]));
    run_to_end(batch);
    REQUIRE(state_of(batch, 0) == SequenceState::kFinished);
    pairs[0].require_equal();
    REQUIRE(pairs[0].sequence->tokens() == first_time);
  }
  REQUIRE_EQUAL(batch.requests().num_output_tokens[0], 40);
  REQUIRE_EQUAL(batch.requests().num_decoded_tokens[0], 40 + 22 + 34);
}

TEST("a history makes way where blocks run out, and reaches as far back as in a session elsewhere") {
  const auto model = TinyLlama(6).open();
  Batch batch(model, {.block_size = kBlockSize, .num_blocks = 40, .watermark = 0});
  const Pair pair = add(model, batch, sampled_request("paged-eviction", 12, some_tokens(12, 1), 40, 10));
  advance(batch, 20);
  REQUIRE(pair.sequence->rewind_points().size() == 11);
  pair.require_equal();
  REQUIRE_EQUAL(batch.rewind(pair.id, RewindUnit::kTokens, 25), 14);
  pair.alone->rewind(RewindUnit::kTokens, 25);
  REQUIRE_EQUAL(batch.requests().num_output_tokens[0], 13);
  REQUIRE_ERROR("ERR_OCTAVO_HISTORY", batch.rewind(pair.id, RewindUnit::kTokens, 14));
  run_to_end(batch);
  pair.require_equal();

  Batch tight(model, {.block_size = kBlockSize, .num_blocks = 4, .watermark = 0});
  const Pair in_tight = add(model, tight, sampled_request("paged-eviction", 12, some_tokens(12, 1), 40, 30));
  run_to_end(tight);
  for (const double bytes : tight.take_steps().swapped_bytes) REQUIRE_EQUAL(bytes, 0);
  REQUIRE(state_of(tight, 0) == SequenceState::kFinished);
  in_tight.require_equal();
  require_pools_free(tight, 4);
}

TEST(
    "blocks that run out within a step, as forks and rewinds came at a stop, are found by beginning it "
    "anew") {
  const auto model = TinyLlama(8).open();
  Batch forking(model, {.block_size = kBlockSize, .num_blocks = 4, .watermark = 0});
  BatchRequest request = sampled_request("tova", 12, some_tokens(14, 1), 20);
  request.policy.unit = EvictionUnit::kToken;  // writes into blocks that the fork then shares
  std::vector<Pair> pairs;
  pairs.push_back(add(model, forking, request));
  advance(forking, 3);
  BatchAdvance stopping;
  stopping.stops[0].evict = true;
  REQUIRE(advance(forking, 1, stopping).reason == BatchReason::kEvent);
  pairs.push_back(fork(forking, pairs[0], with_policy("full", 0, 2)));
  advance(forking, 1);
  REQUIRE(state_of(forking, 0) == SequenceState::kRunning);
  REQUIRE(state_of(forking, 1) == SequenceState::kSwapped);
  while (state_of(forking, 1) != SequenceState::kFailed) advance(forking, 1);
  REQUIRE_EQUAL(forking.failure(1)->code, "ERR_OCTAVO_POOL_EXHAUSTED");  // by itself: full
  REQUIRE_EQUAL(pairs[1].sequence->num_tokens(), 21);                    // 16 of them kept
  for (const Pair& pair : pairs) pair.require_equal();

  Batch rewinding(model, {.block_size = kBlockSize, .num_blocks = 7, .watermark = 0});
  pairs.clear();
  pairs.push_back(add(model, rewinding, sampled_request("full", 0, some_tokens(7, 1), 3)));
  advance(rewinding, 1);
  take_snapshot(rewinding, pairs[0]);  // two full blocks
  run_to_end(rewinding);
  pairs.push_back(add(model, rewinding, sampled_request("full", 0, some_tokens(8, 2), 6)));
  advance(rewinding, 1);
  pairs.push_back(add(model, rewinding, sampled_request("full", 0, some_tokens(6, 3), 6)));
  stopping.stops.clear();
  stopping.stops[2].layer_end = true;
  for (int layer = 0; layer < model->config().num_layers; ++layer)
    REQUIRE(advance(rewinding, 1, stopping).reason == BatchReason::kEvent);
  rewind(rewinding, pairs[0], 0);
  run_to_end(rewinding);
  for (const Pair& pair : pairs) {
    REQUIRE(state_of(rewinding, pair.id) == SequenceState::kFinished);
    pair.require_equal();
  }
}

TEST("who cannot travel is told why, and nothing changes") {
  const auto model = TinyLlama(7).open();
  Batch batch(model, {.block_size = kBlockSize, .num_blocks = 40, .max_sequences = 1});
  std::vector<Pair> pairs;
  pairs.push_back(add(model, batch, sampled_request("full", 0, some_tokens(12, 1), 8)));
  pairs.push_back(add(model, batch, sampled_request("h2o", 12, some_tokens(12, 2), 8)));
  advance(batch, 3);
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", batch.take_snapshot(2));
  REQUIRE_ERROR("ERR_OCTAVO_PREFILL", batch.take_snapshot(1));
  REQUIRE_ERROR("ERR_OCTAVO_PREFILL", batch.fork(1, {}));
  REQUIRE_ERROR("ERR_OCTAVO_SNAPSHOT", batch.rewind_to_snapshot(0, 5));
  BatchFork changes;
  changes.max_tokens = 3;
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", batch.fork(0, changes));
  changes.max_tokens = 589;
  REQUIRE_ERROR("ERR_OCTAVO_POSITION", batch.fork(0, changes));
  changes.max_tokens.reset();
  changes.session = with_policy("h2o", 13, 1);
  REQUIRE_ERROR("ERR_OCTAVO_BUDGET", batch.fork(0, changes));
  pairs.push_back(fork(batch, pairs[0], {}));  // one too many to run: waits swapped out
  REQUIRE(state_of(batch, 2) == SequenceState::kSwapped);
  pairs.push_back(fork(batch, pairs[2], with_policy("key-diff", 12, 3)));
  run_to_end(batch);
  REQUIRE_ERROR("ERR_OCTAVO_BATCH", batch.take_snapshot(0));
  REQUIRE_ERROR("ERR_OCTAVO_BATCH", batch.fork(0, {}));
  REQUIRE_ERROR("ERR_OCTAVO_BATCH", batch.rewind(0, RewindUnit::kTokens, 14));
  for (const Pair& pair : pairs) pair.require_equal();
  require_pools_free(batch, 40);
}

TEST("any order of adding, stepping, stopping, snapshots, rewinds and forks keeps every sequence as alone") {
  const auto model = TinyLlama(13).open();
  std::vector<std::string> policies = native_policy_names();
  int num_forks = 0, num_rewinds = 0, num_stops = 0, num_preemptions = 0;
  for (unsigned round = 0; round < 24; ++round) {
    std::mt19937 random(round);
    const int num_blocks = 16 + static_cast<int>(round);
    Batch batch(model, {.block_size = kBlockSize,
                        .num_blocks = num_blocks,
                        .max_sequences = 2 + static_cast<int>(round % 6),
                        .watermark = 0});
    std::vector<Pair> pairs;
    const auto goes_on = [&](const Pair& pair) {
      return state_of(batch, pair.id) <= SequenceState::kSwapped && pair.sequence->next_step_index() > 0;
    };
    for (int operation = 0; operation < 200; ++operation) {
      const unsigned kind = random() % 8;
      const size_t any = pairs.empty() ? 0 : random() % pairs.size();
      if (kind == 0 || pairs.empty()) {
        const std::string& policy = policies[random() % policies.size()];
        BatchRequest request = sampled_request(policy, 12 + 4 * (random() % 3),
                                               some_tokens(1 + random() % 20, random()), 12 + random() % 20);
        const bool by_token = policy == "tova" || policy == "h2o" || policy == "key-diff";
        if (by_token && random() % 2 == 0) {
          request.policy.unit = EvictionUnit::kToken;
          request.policy.holes = static_cast<Holes>(random() % 3);
        }
        pairs.push_back(add(model, batch, request));
      } else if (kind == 1 && goes_on(pairs[any])) {
        take_snapshot(batch, pairs[any]);
      } else if (kind == 2 && !pairs[any].snapshots.empty()) {
        rewind(batch, pairs[any], random() % pairs[any].snapshots.size());
        ++num_rewinds;
      } else if (kind == 3 && goes_on(pairs[any]) && pairs.size() < 40) {
        const bool changes = random() % 2 == 0;
        const uint64_t seed = random() % 100;
        pairs.push_back(fork(batch, pairs[any], changes ? with_policy("key-diff", 16, seed) : ForkConfig{}));
        ++num_forks;
      } else if (kind == 4 && !pairs[any].snapshots.empty()) {
        pairs[any].sequence->drop_snapshot(pairs[any].snapshots.back().first);
        pairs[any].snapshots.pop_back();
      } else {
        BatchAdvance stopping;
        if (kind == 5) stopping.stops[pairs[any].id] = {.evict = true, .layer_end = random() % 2 == 0};
        num_stops += advance(batch, 1 + random() % 2, stopping).reason == BatchReason::kEvent;
      }
    }
    run_to_end(batch);
    for (const Pair& pair : pairs) {
      REQUIRE(state_of(batch, pair.id) == SequenceState::kFinished);
      pair.require_equal();
    }
    for (const int32_t count : batch.requests().num_preemptions) num_preemptions += count;
    release_all(pairs);
    require_pools_free(batch, num_blocks);
  }
  std::printf("     %d forks, %d rewinds, %d stops, %d preemptions\n", num_forks, num_rewinds, num_stops,
              num_preemptions);
  REQUIRE(num_forks > 50 && num_rewinds > 50 && num_stops > 50 && num_preemptions > 50);
}

TEST(
    "heads that choose for themselves do so in a batch as alone, beside others, swapped out and going back") {
  const auto model = TinyLlama(14).open();
  int64_t num_preempted = 0;
  for (const int num_blocks : {18, 24, 200}) {
    Batch batch(model, {.block_size = kBlockSize, .num_blocks = num_blocks, .max_sequences = 64});
    std::vector<Pair> pairs;
    unsigned seed = 20;
    for (const std::string policy : {"h2o", "key-diff", "full", "paged-eviction", "random"})
      for (const EvictionUnit unit : {EvictionUnit::kToken, EvictionUnit::kBlock}) {
        BatchRequest request = sampled_request(policy, 16, some_tokens(4 + seed % 3 * 9, seed), 40, seed % 2);
        if (policy != "full" && policy != "paged-eviction") request.policy.unit = unit;
        const bool shares = policy == "full" || seed++ % 4 == 3;  // others have their heads share beside it
        if (!shares) request.policy.heads = Heads::kPerHead;
        pairs.push_back(add(model, batch, request));
        advance(batch, 2);
        Pair& pair = pairs[seed / 2 % pairs.size()];
        if (state_of(batch, pair.id) != SequenceState::kRunning) continue;
        take_snapshot(batch, pair);
        advance(batch, 3);
        rewind(batch, pair, pair.snapshots.size() - 1);
      }
    run_to_end(batch);
    for (const Pair& pair : pairs) {
      pair.require_equal();
    }
    for (const int32_t count : batch.requests().num_preemptions) num_preempted += count;
  }
  REQUIRE(num_preempted > 5);
}
