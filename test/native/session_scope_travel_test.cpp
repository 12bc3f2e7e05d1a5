// Stops, vetoes, rewinding and forks where layers share their decisions.
#include <limits>

#include "session_runs.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr int kBlockSize = 4, kBudget = 24, kPrompt = 37;

SessionConfig shared_config(const std::string& policy, SharedBy shared, int64_t history = 0) {
  SessionConfig config = session_config(policy, kBlockSize, kBudget);
  config.policy.shared = shared;
  config.history = history;
  return config;
}

// The next eviction that the session stops before; its decision goes with the advance.
std::optional<EvictEvent> next_eviction(Session& session, std::optional<Decision> decision = std::nullopt,
                                        int64_t max_steps = 60) {
  AdvanceRequest request = steps(max_steps, 1.0);
  request.stop.evict = true;
  request.decision = std::move(decision);
  const AdvanceResult result = advance(session, request);
  if (!result.event) return std::nullopt;
  return std::get<EvictEvent>(*result.event);
}

std::unique_ptr<Session> begin(const std::shared_ptr<const LlamaModel>& model, const SessionConfig& config) {
  auto session = std::make_unique<Session>(model, config);
  session->prefill(some_tokens(kPrompt, 6));
  return session;
}

const SharedBy kReductions[] = {SharedBy::kLayer0, SharedBy::kMeanScore, SharedBy::kMeanRank};

}  // namespace

TEST("stops in every layer change nothing, at the prompt's cut and in decode") {
  const auto model = TinyLlama(5).open();
  for (const SharedBy shared : kReductions)
    for (const std::string policy : {"paged-eviction", "key-diff", "tova", "h2o", "random"}) {
      const auto plain = begin(model, shared_config(policy, shared));
      advance(*plain, steps(31, 1.0));
      const auto stopping = begin(model, shared_config(policy, shared));
      int num_stops = 0;
      AdvanceRequest request = steps(31, 1.0);
      request.stop.evict = request.stop.block_full = request.stop.layer_end = true;
      while (stopping->next_step_index() < 31) {
        request.max_steps = 31 - stopping->next_step_index();
        const AdvanceResult result = advance(*stopping, request);
        if (!result.event || !std::holds_alternative<EvictEvent>(*result.event)) continue;
        const auto& event = std::get<EvictEvent>(*result.event);
        REQUIRE(event.shared);
        REQUIRE_EQUAL(event.layer, num_stops % 3);
        ++num_stops;
      }
      REQUIRE(num_stops >= 3 * 7);
      REQUIRE(logits_of(*plain) == logits_of(*stopping));
      REQUIRE(bytes_of(plain->take_trace()) == bytes_of(stopping->take_trace()));
    }
}

TEST("a veto and another block hold for all layers, and only layer 0 decides") {
  const auto model = TinyLlama(6).open();
  for (const SharedBy shared : kReductions) {
    const auto session = begin(model, shared_config("paged-eviction", shared));
    advance(*session, steps(1));
    auto event = next_eviction(*session);
    REQUIRE(event && event->layer == 0);
    event = next_eviction(*session, Decision{});  // a veto
    REQUIRE(event && event->layer == 0);          // of a later step: no other layer was asked
    for (int layer = 0; layer < 3; ++layer) {
      const int64_t newest = layer == 0 ? kBlockSize : kBlockSize - 1;  // layer 0 alone has this step's token
      REQUIRE_EQUAL(session->layer_state(layer).kv_len, kBudget + kBlockSize + newest);
    }
    // Above its budget by two blocks the cache takes two evictions, both in every layer.
    const int chosen = *event->logical_index == 2 ? 3 : 2;
    std::vector<float> left = event->candidate_scores;  // of blocks 1 and on, by all layers
    left.erase(left.begin() + chosen - 1);
    Decision other;
    other.replacement = chosen;
    event = next_eviction(*session, other);
    REQUIRE(event && event->layer == 0);
    if (shared != SharedBy::kMeanRank) REQUIRE(event->candidate_scores == left);
    const int second = *event->logical_index;
    for (const int layer : {1, 2})
      for (const int expected : {chosen, second}) {
        event = next_eviction(*session);
        REQUIRE(event && event->layer == layer && *event->logical_index == expected);
        const std::string stopped = state_of(*session);
        REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", next_eviction(*session, other));
        REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", next_eviction(*session, Decision{}));
        REQUIRE(state_of(*session) == stopped);
      }
    advance(*session, steps(1));
    const TraceTables trace = session->take_trace();
    int num_by_user = 0;
    for (size_t row = 0; row < trace.evictions.step_index.size(); ++row) {
      if (!trace.evictions.chosen_by[row]) continue;
      REQUIRE_EQUAL(trace.evictions.layer_index[row], num_by_user++);
      REQUIRE_EQUAL(trace.evictions.logical_index[row], chosen);
    }
    REQUIRE_EQUAL(num_by_user, 3);
    for (int layer = 0; layer < 3; ++layer)
      REQUIRE_EQUAL(session->layer_state(layer).kv_len, int64_t{kBudget});
  }
}

TEST("rewinding over shared evictions, also from a stop between layers, replays them bit for bit") {
  const auto model = TinyLlama(7).open();
  for (const SharedBy shared : kReductions)
    for (const std::string policy : {"paged-eviction", "key-diff", "tova", "h2o", "random"}) {
      const auto session = begin(model, shared_config(policy, shared, 40));
      advance(*session, steps(6, 1.0));
      const std::vector<float> before = logits_of(*session);
      session->take_trace();
      advance(*session, steps(20, 1.0));
      const std::vector<float> logits = logits_of(*session);
      const TraceTables first = session->take_trace();
      const std::vector<int32_t>& dropped = first.evictions.positions.values;
      REQUIRE(!dropped.empty());
      const int64_t snapshot =
          session->take_snapshot();  // its parked blocks show in the trace's memory table
      session->rewind(RewindUnit::kStep, 6);
      REQUIRE(logits_of(*session) == before);
      advance(*session, steps(20, 1.0));
      REQUIRE(logits_of(*session) == logits);
      const TraceTables second = session->take_trace();
      REQUIRE(second.evictions.positions.values == dropped);
      std::optional<EvictEvent> event = next_eviction(*session);
      while (event && event->layer != 1) event = next_eviction(*session);
      REQUIRE(event.has_value());  // layer 0 is cut, layer 1 is not
      const auto fork = session->fork({});
      session->rewind_to_snapshot(snapshot);
      advance(*session, steps(11, 1.0));
      const int64_t behind = session->num_tokens() - fork->num_tokens();
      if (behind > 0) advance(*fork, steps(behind, 1.0));
      if (behind < 0) advance(*session, steps(-behind, 1.0));
      REQUIRE(logits_of(*fork) == logits_of(*session));
    }
}

TEST("a fork may take up a shared scope where its layers hold equally much") {
  const auto model = TinyLlama(8).open();
  SessionConfig config = session_config("paged-eviction", kBlockSize, kBudget);
  const auto session = begin(model, config);
  advance(*session, steps(5, 1.0));
  ForkConfig changes;
  changes.policy = shared_config("key-diff", SharedBy::kMeanRank).policy;
  const auto fork = session->fork(changes);
  fork->take_trace();
  advance(*fork, steps(20, 1.0));
  const TraceTables trace = fork->take_trace();
  REQUIRE(trace.evictions.step_index.size() >= 3 * 4);
  for (size_t row = 0; row < trace.evictions.step_index.size(); ++row)
    REQUIRE_EQUAL(trace.evictions.logical_index[row], trace.evictions.logical_index[row / 3 * 3]);
  // One layer's veto leaves it a block more than the others.
  REQUIRE(next_eviction(*session)->layer == 0);
  advance(*session, [] {
    AdvanceRequest request = steps(1, 1.0);
    request.decision.emplace();
    return request;
  }());
  REQUIRE_ERROR("ERR_OCTAVO_POLICY", session->fork(changes));
}

TEST("a caller scores the blocks of layer 0, or of every layer before any is cut") {
  const auto model = TinyLlama(9).open();
  for (const SharedBy shared : kReductions) {
    const auto session = begin(model, shared_config("custom", shared));
    advance(*session, steps(1));
    std::vector<int> asked;
    std::optional<std::vector<float>> scores;
    for (;;) {
      AdvanceRequest request = steps(13 - session->next_step_index(), 1.0);
      if (scores) {
        request.decision.emplace();
        request.decision->scores =
            std::vector<float>(scores->size(), std::numeric_limits<float>::quiet_NaN());
        REQUIRE_ERROR("ERR_OCTAVO_POLICY", advance(*session, request));
        request.decision->scores = scores;
      }
      const AdvanceResult result = advance(*session, request);
      if (!result.event) break;
      const auto& event = std::get<ScoreEvent>(*result.event);
      asked.push_back(event.layer);
      REQUIRE_EQUAL(session->layer_state(2).kv_len, session->layer_state(1).kv_len);
      // Layer 0 would drop the youngest; all three together the second of the table.
      scores.emplace();
      for (const int32_t candidate : event.candidates)
        scores->push_back(event.layer == 0 ? -static_cast<float>(candidate) : candidate == 2 ? 0.0F : 40.0F);
    }
    const TraceTables trace = session->take_trace();
    REQUIRE(asked.size() >= 3 && !trace.evictions.step_index.empty());
    for (size_t i = 0; i < asked.size(); ++i)
      REQUIRE_EQUAL(asked[i], shared == SharedBy::kLayer0 ? 0 : static_cast<int>(i % 3));
    const int num_blocks = (kPrompt + 3) / kBlockSize;
    REQUIRE_EQUAL(trace.evictions.logical_index[0], shared == SharedBy::kLayer0 ? num_blocks - 2 : 2);
  }
}
