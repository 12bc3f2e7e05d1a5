// Every form of eviction of tokens and by heads through snapshots, forks, rewinds and decisions of the
// caller; what a fork's own policy needs is there from its first step on, and after going back.
#include <cmath>
#include <map>
#include <memory>

#include "token_forms.h"

using namespace octavo;
using namespace octavo::test;

TEST("every form: snapshots in the middle of a step, forks, rewinds and failed steps replay bit for bit") {
  const TinyLlama tiny(12);
  const auto model = tiny.open();
  const std::vector<int32_t> prompt = some_tokens(30, 5);
  for (const Form& form : all_forms()) {
    const Run alone = run(model, config_of(form), prompt, 40, 0.9);
    // With a history every block is another holder's too, and so copied; without, slots are written in place.
    for (const int64_t history : {0, 6}) {
      SessionConfig config = config_of(form);
      config.history = history;
      Session session(model, config);
      session.prefill(prompt);
      advance(session, steps(12, 0.9));
      const auto go_on = [&](Session& other, int64_t from, int64_t count) {
        for (int64_t step = from; step < from + count; ++step) {
          advance(other, steps(1, 0.9));
          REQUIRE(logits_of(other) == alone.logits[static_cast<size_t>(step)]);
        }
      };
      // Layer 0 of the step under way is cut: what is kept or gone back to is the state before it all the
      // same.
      AdvanceRequest request = steps(1, 0.9);
      request.stop = {.evict = true, .layer = 1};
      const auto begin_step = [&] {
        if (form.unit == EvictionUnit::kToken) REQUIRE(advance(session, request).event);
      };
      begin_step();
      session.rewind(RewindUnit::kTokens, session.num_tokens());
      go_on(session, 12, 9);
      begin_step();
      const int64_t inside = session.take_snapshot();
      const auto fork = session.fork({});
      go_on(*fork, 21, 12);
      go_on(session, 21, 12);
      session.rewind_to_snapshot(inside);
      go_on(session, 21, 5);
      if (history > 0) session.rewind(RewindUnit::kStep, 22);
      go_on(session, history > 0 ? 22 : 26, 7);
      go_on(*fork, 33, 5);
      session.rewind_to_snapshot(inside);
      go_on(session, 21, 19);
      session.drop_snapshot(inside);
      session.rewind(RewindUnit::kTokens, 0);
      const LayerState state = fork->layer_state(0);
      REQUIRE_EQUAL(state.num_free_blocks + static_cast<int>(state.block_ids.size()),
                    config.num_blocks - state.num_parked_blocks);
    }
  }
}

TEST("a veto lets a cache grow by a token for one step, and another token can go in its place") {
  const TinyLlama tiny(5);
  const auto model = tiny.open();
  for (const Form& form : all_forms()) {
    if (form.unit != EvictionUnit::kToken) continue;
    Session session(model, config_of(form));
    session.prefill(some_tokens(kPrompt, 3));
    advance(session, steps(1));
    AdvanceRequest request = steps(1);
    request.stop = {.evict = true, .layer = 1};
    AdvanceResult result = advance(session, request);
    REQUIRE_EQUAL(session.layer_state(1).kv_len, int64_t{kBudget + 1});
    request.decision.emplace();
    REQUIRE_EQUAL(static_cast<int>(advance(session, request).num_steps), 1);
    REQUIRE_EQUAL(session.layer_state(1).kv_len, int64_t{kBudget + 1});
    REQUIRE_EQUAL(session.layer_state(0).kv_len, int64_t{kBudget});
    request.decision.reset();
    result = advance(session, request);  // two are too many now
    REQUIRE_EQUAL(static_cast<int>(std::get<EvictEvent>(*result.event).positions.size()), 2);
    advance(session, steps(1));
    REQUIRE_EQUAL(session.layer_state(1).kv_len, int64_t{kBudget});

    session.take_trace();
    result = advance(session, request);
    REQUIRE_EQUAL(std::get<EvictEvent>(*result.event).kv_head.has_value(), form.heads == Heads::kPerHead);
    const auto newest = static_cast<int>(session.num_tokens());
    request.decision.emplace();
    for (const int wrong : {newest, newest + 1, 1000}) {
      request.decision->replacement = wrong;
      REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", advance(session, request));
    }
    request.decision->replacement = 2;  // a sink, which the policy would never drop
    result = advance(session, request);
    request.decision.reset();
    while (result.num_steps == 0) result = advance(session, request);
    const TraceTables trace = session.take_trace();
    bool found = false;
    for (size_t row = 0; row < trace.evictions.step_index.size(); ++row) {
      if (trace.evictions.layer_index[row] != 1 || trace.evictions.kv_head[row] > 0) continue;
      found = true;
      REQUIRE(dropped_in(trace.evictions, row) == std::vector<int>{2});
      REQUIRE_EQUAL(static_cast<int>(trace.evictions.chosen_by[row]), 1);
    }
    REQUIRE(found);
    REQUIRE_EQUAL(session.layer_state(1).kv_len, int64_t{kBudget});
  }
}

TEST("a fork may change the form: tables with holes serve policies that leave none") {
  const TinyLlama tiny(9);
  const auto model = tiny.open();
  for (const Holes holes : {Holes::kRecycle, Holes::kCompact, Holes::kMask}) {
    const Form form{"random", EvictionUnit::kToken, Holes::kMask, Heads::kShared};
    Session session(model, config_of(form));
    session.prefill(some_tokens(kPrompt, 3));
    advance(session, steps(20));
    REQUIRE(!session.layer_state(1).dead_slots.empty());
    for (const Form& other : all_forms()) {
      if (other.heads == Heads::kPerHead || other.holes != holes) continue;
      ForkConfig changes;
      changes.policy = config_of(other, 12).policy;
      const auto fork = session.fork(changes);
      advance(*fork, steps(30));
      REQUIRE_EQUAL(fork->layer_state(0).kv_len, int64_t{12});
      if (holes != Holes::kMask) REQUIRE(fork->layer_state(0).block_ids.size() < 6);
    }
    for (const std::string& name : native_policy_names()) {  // and policies that drop blocks
      ForkConfig changes;
      changes.policy = session_config(name, kBlockSize, 12).policy;
      const auto fork = session.fork(changes);
      advance(*fork, steps(30));
      if (name != "full" && name != "snap-kv") REQUIRE(fork->layer_state(0).kv_len < 12 + kBlockSize);
    }
    ForkConfig changes;
    changes.policy = config_of({"random", EvictionUnit::kToken, Holes::kRecycle, Heads::kPerHead}).policy;
    REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", session.fork(changes));
  }
}

TEST("a fork that sums attention up from its beginning comes back from an empty session to the same bits") {
  const TinyLlama tiny(7);
  const auto model = tiny.open();
  Session session(model, session_config("full", kBlockSize, 0));
  session.prefill(some_tokens(kPrompt, 3));
  advance(session, steps(12));
  ForkConfig changes;
  changes.policy = config_of({"h2o", EvictionUnit::kToken, Holes::kRecycle, Heads::kShared}, 32).policy;
  changes.policy->normalised = true;  // by the queries since the fork began
  const auto fork = session.fork(changes);
  const int64_t beginning = fork->take_snapshot();
  advance(*fork, steps(30));
  const std::vector<float> first = logits_of(*fork);
  const std::string bytes = bytes_of(fork->take_trace());
  fork->rewind(RewindUnit::kTokens, 0);
  fork->prefill(some_tokens(5, 4));
  advance(*fork, steps(1));
  fork->take_trace();
  fork->rewind_to_snapshot(beginning);
  advance(*fork, steps(30));
  REQUIRE(logits_of(*fork) == first);
  REQUIRE(bytes_of(fork->take_trace()) == bytes);
}

TEST("whether the last step has a pattern is known again after going back and forth") {
  const TinyLlama tiny(7);
  Session session(tiny.open(), config_of({"h2o", EvictionUnit::kToken, Holes::kRecycle, Heads::kShared}));
  session.prefill(some_tokens(kPrompt, 3));
  advance(session, steps(1));
  REQUIRE_ERROR("ERR_OCTAVO_PATTERN", session.attention_pattern(0));  // the prompt saw what it dropped
  const int64_t cut = session.take_snapshot();
  advance(session, steps(1));
  const std::vector<float> pattern = session.attention_pattern(0);
  const int64_t decoded = session.take_snapshot();
  session.rewind_to_snapshot(cut);
  REQUIRE_ERROR("ERR_OCTAVO_PATTERN", session.attention_pattern(0));
  AdvanceRequest other = steps(1);
  other.forced_tokens = {(session.tokens().back() + 1) % 31};
  advance(session, other);
  REQUIRE(session.attention_pattern(0) != pattern);
  session.rewind_to_snapshot(decoded);
  REQUIRE(session.attention_pattern(0) == pattern);
}

TEST("compacting leaves fewer holes than a block's, and the newest block in its place, wherever it begins") {
  for (const unsigned seed : {1U, 2U, 3U}) {
    const TinyLlama tiny(9);
    const auto model = tiny.open();
    Session session(model, config_of({"random", EvictionUnit::kToken, Holes::kMask, Heads::kShared}));
    session.prefill(some_tokens(kPrompt, seed));
    advance(session, steps(17));
    for (int phase = 0; phase < 2 * kBlockSize; ++phase) {
      advance(session, steps(1));
      ForkConfig changes;
      changes.policy = config_of({"random", EvictionUnit::kToken, Holes::kCompact, Heads::kShared}).policy;
      const auto fork = session.fork(changes);
      for (int step = 0; step < 2 * kBlockSize; ++step) {
        advance(*fork, steps(1));
        const BlockTable& table = fork->layer_cache(0).table();
        REQUIRE(table.num_slots() - table.kv_len() < kBlockSize);
        REQUIRE_EQUAL(fork->layer_cache(0).slot_position(table.num_slots() - 1),
                      static_cast<int32_t>(fork->num_tokens() - 1));
      }
    }
  }
}

TEST("in a fork to h2o by visible query, tokens before it count the queries since it began") {
  const TinyLlama tiny(7);
  Session session(tiny.open(), session_config("full", kBlockSize, 0));
  session.prefill(some_tokens(kPrompt, 3));
  advance(session, steps(1 + 11));
  std::vector<std::vector<float>> scores;
  for (const bool normalised : {false, true}) {
    ForkConfig changes;  // the fork's fifth step is the first to evict
    changes.policy =
        config_of({"h2o", EvictionUnit::kToken, Holes::kRecycle, Heads::kShared}, kPrompt + 11 + 4).policy;
    changes.policy->normalised = normalised;
    const auto fork = session.fork(changes);
    AdvanceRequest request = steps(10);
    request.stop.evict = true;
    const AdvanceResult stopped = advance(*fork, request);
    REQUIRE_EQUAL(static_cast<int>(stopped.num_steps), 4);
    const auto& event = std::get<EvictEvent>(*stopped.event);
    REQUIRE(event.candidates.back() < kPrompt + 11);  // all older than the fork
    scores.push_back(event.candidate_scores);
  }
  REQUIRE_EQUAL(scores[0].size(), scores[1].size());
  for (size_t place = 0; place < scores[0].size(); ++place) {
    REQUIRE(scores[0][place] > 0);
    REQUIRE_EQUAL(scores[1][place], scores[0][place] / 4);
  }
}

TEST("in a fork of a cache with holes a block's score is the mean over its live tokens") {
  const TinyLlama tiny(9);
  Session session(tiny.open(), config_of({"random", EvictionUnit::kToken, Holes::kMask, Heads::kShared}));
  session.prefill(some_tokens(kPrompt, 3));
  advance(session, steps(18));
  const auto next_is_last_of_block = [&] {
    const BlockTable& table = session.layer_cache(0).table();
    return table.filled(table.num_blocks() - 1) == kBlockSize - 1;
  };
  while (!next_is_last_of_block()) advance(session, steps(1));
  // Both forks score the same cache in their next step.
  const auto scores_of = [&](EvictionUnit unit, std::unique_ptr<Session>& fork) {
    ForkConfig changes;
    changes.policy = config_of({"key-diff", unit, Holes::kRecycle, Heads::kShared}, 12).policy;
    fork = session.fork(changes);
    AdvanceRequest request = steps(1);
    request.stop = {.evict = true, .layer = 0};
    const AdvanceResult stopped = advance(*fork, request);
    const auto& event = std::get<EvictEvent>(*stopped.event);
    std::map<int, float> scores;
    for (size_t place = 0; place < event.candidates.size(); ++place)
      scores[event.candidates[place]] = event.candidate_scores[place];
    return scores;
  };
  std::unique_ptr<Session> by_block, by_token;
  const std::map<int, float> of_blocks = scores_of(EvictionUnit::kBlock, by_block);
  const std::map<int, float> of_tokens = scores_of(EvictionUnit::kToken, by_token);
  int num_with_holes = 0;
  for (const auto& [block, score] : of_blocks) {
    const std::vector<int32_t> live = by_block->layer_cache(0).live_positions(block);
    double mean = 0;
    for (const int32_t position : live) mean += of_tokens.at(position) / static_cast<double>(live.size());
    REQUIRE(std::fabs(score - mean) < 1e-6);
    num_with_holes += live.size() < kBlockSize ? 1 : 0;
  }
  REQUIRE(num_with_holes > 2);
}
