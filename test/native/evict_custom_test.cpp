// A policy whose caller scores: with the scores that another policy would use it drops the same blocks;
// scores that are refused change nothing; the session asks until it is answered.
#include <limits>

#include "session_runs.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr int kBlockSize = 4, kBudget = 16;

// Advances to the next stop for scores; none when the steps are done.
std::optional<ScoreEvent> next_question(Session& session, AdvanceRequest request) {
  const AdvanceResult result = advance(session, request);
  if (!result.event) return std::nullopt;
  REQUIRE(std::holds_alternative<ScoreEvent>(*result.event));
  return std::get<ScoreEvent>(*result.event);
}

std::vector<int> evicted_positions(const TraceTables& trace) {
  return {trace.evictions.positions.values.begin(), trace.evictions.positions.values.end()};
}

}  // namespace

TEST("a caller that scores by age drops what streaming-llm drops, also from a prompt above the budget") {
  const TinyLlama tiny(3);
  const auto model = tiny.open();
  const std::vector<int32_t> tokens = some_tokens(70, 6);
  for (const int prompt_length : {13, 37}) {
    Session session(model, session_config("custom", kBlockSize, kBudget));
    session.prefill({tokens.begin(), tokens.begin() + prompt_length});
    REQUIRE(!next_question(session, steps(1)));
    REQUIRE_EQUAL(session.layer_state(0).kv_len, int64_t{prompt_length});
    int num_questions = 0;
    for (size_t next = static_cast<size_t>(prompt_length); next < tokens.size(); ++next) {
      AdvanceRequest request = steps(1);
      request.forced_tokens = {tokens[next]};
      for (auto question = next_question(session, request); question;
           question = next_question(session, request)) {
        const int num_blocks = static_cast<int>(session.layer_state(question->layer).block_ids.size());
        REQUIRE_EQUAL(static_cast<int>(question->candidates.size()), num_blocks - 2);
        REQUIRE(question->candidates.front() == 1 && question->candidates.back() == num_blocks - 2);
        request = steps(1);
        request.decision.emplace();
        request.decision->scores =
            std::vector<float>(question->candidates.begin(), question->candidates.end());
        ++num_questions;
      }
    }
    REQUIRE(num_questions > 20);
    const TraceTables trace = session.take_trace();
    for (size_t row = 0; row < trace.evictions.step_index.size(); ++row) {
      REQUIRE_EQUAL(trace.evictions.logical_index[row], 1);
      REQUIRE(!static_cast<bool>(trace.evictions.chosen_by[row]));
    }
    const LayerState state = session.layer_state(1);
    REQUIRE(state.kv_len >= kBudget && state.kv_len < kBudget + kBlockSize);
    if (prompt_length > kBudget) continue;
    const Run streaming = [&] {
      Session other(model, session_config("streaming-llm", kBlockSize, kBudget));
      other.prefill({tokens.begin(), tokens.begin() + prompt_length});
      AdvanceRequest request = steps(static_cast<int64_t>(tokens.size()) - prompt_length + 1);
      request.forced_tokens = {tokens.begin() + prompt_length, tokens.end()};
      advance(other, request);
      return Run{other.tokens(), {logits_of(other)}, other.take_trace()};
    }();
    REQUIRE(streaming.logits.front() == logits_of(session));
    REQUIRE(evicted_positions(streaming.trace) == evicted_positions(trace));
  }
}

TEST("scores that are refused change nothing, and the session asks again") {
  const TinyLlama tiny(4);
  Session session(tiny.open(), session_config("custom", kBlockSize, kBudget));
  session.prefill(some_tokens(19, 2));
  REQUIRE(!next_question(session, steps(1)));
  AdvanceRequest answer = steps(5);
  answer.decision.emplace();
  answer.decision->scores = {1, 2, 3};
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", advance(session, answer));
  auto question = next_question(session, steps(5));
  REQUIRE(question && question->layer == 0);
  const std::string stopped = state_of(session);
  answer.decision->scores = {1, 2};
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", advance(session, answer));
  answer.decision->scores = {1, std::numeric_limits<float>::quiet_NaN(), 3};
  REQUIRE_ERROR("ERR_OCTAVO_POLICY", advance(session, answer));
  answer.decision = Decision{};
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", advance(session, answer));  // a veto, but nothing is about to go
  REQUIRE(state_of(session) == stopped);
  REQUIRE(next_question(session, steps(5))->candidates == question->candidates);
  answer.decision->scores = {2, 1, 3};
  answer.stop.evict = true;
  const AdvanceResult evicting = advance(session, answer);
  const auto& event = std::get<EvictEvent>(*evicting.event);
  REQUIRE_EQUAL(*event.logical_index, 2);
  REQUIRE(event.score == 1 && event.runner_up_score == 2);
}
