// Tokens that leave one by one in decode, and heads that keep their own: every policy, every form of holes,
// against dense attention that masks what is gone, against kept sets from the definitions in float64, and the
// properties that hold for all of them.
#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "policy_oracle.h"
#include "session_runs.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr int kBlockSize = 4, kBudget = 16, kPrompt = 37, kDecoded = 45;

struct Form {
  std::string policy;
  EvictionUnit unit;
  Holes holes;
  Heads heads;
  std::string name() const {
    return policy + (unit == EvictionUnit::kToken ? " token" : " block") +
           (holes == Holes::kMask      ? " mask"
            : holes == Holes::kCompact ? " compact"
                                       : "") +
           (heads == Heads::kPerHead ? " per-head" : "");
  }
};

std::vector<Form> all_forms() {
  std::vector<Form> forms;
  for (const char* policy : {"streaming-llm", "inverse-key-norm", "key-diff", "tova", "h2o", "random"})
    for (const Holes holes : {Holes::kRecycle, Holes::kMask, Holes::kCompact})
      forms.push_back({policy, EvictionUnit::kToken, holes, Heads::kShared});
  for (const char* policy : {"inverse-key-norm", "key-diff", "h2o", "random"})
    forms.push_back({policy, EvictionUnit::kToken, Holes::kRecycle, Heads::kPerHead});
  for (const char* policy : {"paged-eviction", "inverse-key-norm", "key-diff", "h2o", "snap-kv", "random"})
    forms.push_back({policy, EvictionUnit::kBlock, Holes::kRecycle, Heads::kPerHead});
  return forms;
}

SessionConfig config_of(const Form& form, int64_t budget = kBudget) {
  SessionConfig config = session_config(form.policy, kBlockSize, budget);
  config.policy.unit = form.unit;
  config.policy.holes = form.holes;
  config.policy.heads = form.heads;
  return config;
}

// Positions that each layer's heads hold after each step; one head stands for all where they share.
using Live = std::vector<std::vector<std::vector<std::set<int>>>>;  // [step][layer][head]

Live live_positions(const TraceTables& trace, const LlamaConfig& config) {
  Live live;
  const BlockColumns& blocks = trace.blocks;
  for (size_t row = 0; row < blocks.step_index.size(); ++row) {
    const auto step = static_cast<size_t>(blocks.step_index[row]);
    while (live.size() <= step)
      live.emplace_back(static_cast<size_t>(config.num_layers),
                        std::vector<std::set<int>>(static_cast<size_t>(config.num_kv_heads)));
    for (int i = blocks.positions.offsets[row]; i < blocks.positions.offsets[row + 1]; ++i) {
      const int position = blocks.positions.values[static_cast<size_t>(i)];
      if (position < 0) continue;
      for (int head = 0; head < config.num_kv_heads; ++head) {
        if (blocks.kv_head[row] >= 0 && blocks.kv_head[row] != head) continue;
        auto& held = live[step][static_cast<size_t>(blocks.layer_index[row])][static_cast<size_t>(head)];
        REQUIRE(held.insert(position).second);
      }
    }
  }
  return live;
}

TinyLlama::SeesByHead sees_of(const Live& live) {
  return [&live](int layer, int query, int key, int head) {
    if (query < kPrompt) return true;
    return live[static_cast<size_t>(query - kPrompt + 1)][static_cast<size_t>(layer)]
               [static_cast<size_t>(head)]
                   .count(key) > 0;
  };
}

const TinyLlama::Place kInPlace = [](int, int, int key) { return key; };

std::vector<int> dropped_in(const EvictionColumns& evictions, size_t row) {
  return {evictions.positions.values.begin() + evictions.positions.offsets[row],
          evictions.positions.values.begin() + evictions.positions.offsets[row + 1]};
}

}  // namespace

TEST("every form: attention equals dense attention that masks what is gone, and the trace tells the truth") {
  const TinyLlama tiny(4);
  const auto model = tiny.open();
  for (const Form& form : all_forms()) {
    const Run result = run(model, config_of(form), some_tokens(kPrompt, 3), kDecoded, 1.0);
    const Live live = live_positions(result.trace, tiny.config);
    const auto expected = tiny.forward_placed(result.tokens, sees_of(live), kInPlace);
    std::vector<float> actual;
    std::vector<double> wanted;
    for (size_t step = 0; step < result.logits.size(); ++step) {
      actual.insert(actual.end(), result.logits[step].begin(), result.logits[step].end());
      const auto& row = expected[kPrompt - 1 + step];
      wanted.insert(wanted.end(), row.begin(), row.end());
    }
    compare(form.name(), actual.data(), wanted.data(), static_cast<int64_t>(actual.size()), 1e-5, 1e-3);

    const bool by_token = form.unit == EvictionUnit::kToken;
    const int num_sinks = form.policy == "streaming-llm" ? 4 : kBlockSize;
    double most_fragmented = 0;
    const MemoryColumns& memory = result.trace.memory;
    for (size_t row = 0; row < memory.step_index.size(); ++row) {
      const auto step = static_cast<size_t>(memory.step_index[row]);
      for (const std::set<int>& held : live[step][static_cast<size_t>(memory.layer_index[row])]) {
        const auto size = static_cast<int>(held.size());
        REQUIRE_EQUAL(memory.live_tokens[row], size);
        for (int sink = 0; sink < num_sinks; ++sink) REQUIRE(held.count(sink));
        REQUIRE(held.count(kPrompt - 1 + static_cast<int>(step)));
        if (form.policy == "snap-kv") continue;
        if (by_token) REQUIRE_EQUAL(size, kBudget);
        if (!by_token) REQUIRE(size >= kBudget && size < kBudget + kBlockSize);
      }
      const double allocated = memory.allocated_tokens[row];
      REQUIRE_EQUAL(memory.allocated_tokens[row], memory.num_blocks[row] * kBlockSize);
      REQUIRE(std::fabs(memory.fragmentation[row] - (1 - memory.live_tokens[row] / allocated)) < 1e-6);
      if (by_token && form.holes == Holes::kRecycle) REQUIRE_EQUAL(memory.allocated_tokens[row], kBudget);
      // Compaction leaves less than a block of holes, and the newest block may be partial.
      if (form.holes == Holes::kCompact) REQUIRE(allocated < kBudget + 2 * kBlockSize);
      most_fragmented = std::max(most_fragmented, static_cast<double>(memory.fragmentation[row]));
    }
    if (form.holes == Holes::kMask && form.policy != "h2o" && form.policy != "streaming-llm")
      REQUIRE(most_fragmented > 0.25);

    // Each row names what was live before its step and is gone after, and where it stood.
    const EvictionColumns& evictions = result.trace.evictions;
    for (size_t row = 0; row < evictions.step_index.size(); ++row) {
      const auto step = static_cast<size_t>(evictions.step_index[row]);
      const auto layer = static_cast<size_t>(evictions.layer_index[row]);
      REQUIRE_EQUAL(evictions.kv_head[row] >= 0, form.heads == Heads::kPerHead);
      const auto head = static_cast<size_t>(std::max(0, evictions.kv_head[row]));
      for (const int position : dropped_in(evictions, row)) {
        REQUIRE(live[step][layer][head].count(position) == 0);
        if (step > 0) REQUIRE(live[step - 1][layer][head].count(position) == 1);
      }
      REQUIRE_EQUAL(evictions.slot_index[row] >= 0, step > 0 && by_token);
      REQUIRE(!(evictions.runner_up_score[row] < evictions.score[row]));
    }
  }
}

TEST("tokens that go are those of the definitions, in a whole model in float64") {
  int num_choices = 0;
  for (const Form& form : all_forms()) {
    if (form.unit != EvictionUnit::kToken || form.policy == "streaming-llm" || form.policy == "random")
      continue;
    const TinyLlama tiny(44);
    const Run result = run(tiny.open(), config_of(form), some_tokens(kPrompt, 8), kDecoded, 1.0);
    const EvictionColumns& evictions = result.trace.evictions;
    const Live live = live_positions(result.trace, tiny.config);
    std::vector<TinyLlama::Captured> captured;
    tiny.forward_placed(result.tokens, sees_of(live), kInPlace, &captured);
    const int num_choosers = form.heads == Heads::kPerHead ? tiny.config.num_kv_heads : 1;
    // Not layer 0: equal tokens tie there up to RoPE's rounding.
    for (int index = 1; index < tiny.config.num_layers; ++index) {
      for (int chooser = 0; chooser < num_choosers; ++chooser) {
        const LayerCase layer{captured[static_cast<size_t>(index)], tiny.config, kPrompt,
                              num_choosers == 1 ? -1 : chooser};
        std::map<int, double> mass;
        if (form.policy == "h2o") mass = prompt_scores("h2o", layer, 0);
        for (int step = 1; step <= kDecoded; ++step) {
          const int newest = kPrompt + step - 1;
          const std::set<int>& before =
              live[static_cast<size_t>(step) - 1][static_cast<size_t>(index)][static_cast<size_t>(chooser)];
          std::vector<int> held(before.begin(), before.end());
          held.push_back(newest);
          std::map<int, double> scores = mass;
          if (form.policy == "inverse-key-norm") scores = layer.inverse_norms(held);
          if (form.policy == "key-diff") scores = layer.distinctness(held);
          if (form.policy == "tova") scores = layer.attention(newest, held);
          const int end = form.policy == "h2o" ? newest + 1 - kBudget / 2 : newest;
          int lowest = -1;
          for (const int token : held)
            if (token >= kBlockSize && token < end && (lowest < 0 || scores[token] < scores[lowest]))
              lowest = token;
          size_t row = 0;
          while (evictions.step_index[row] != step || evictions.layer_index[row] != index ||
                 std::max(0, evictions.kv_head[row]) != chooser)
            ++row;
          REQUIRE(dropped_in(evictions, row) == std::vector<int>{lowest});
          ++num_choices;
          if (form.policy != "h2o") continue;
          held.erase(std::find(held.begin(), held.end(), lowest));
          for (const auto& [key, share] : layer.attention(newest, held)) mass[key] += share;
        }
      }
    }
  }
  REQUIRE(num_choices > 1000);
}

TEST("every form: an unreached budget changes no bit, one seed gives one trace, and stops change nothing") {
  const TinyLlama tiny(8);
  const auto model = tiny.open();
  const std::vector<int32_t> prompt = some_tokens(30, 9);
  const Run full = run(model, session_config("full", kBlockSize, 0), prompt, 40, 0.9);
  for (const Form& form : all_forms()) {
    REQUIRE(run(model, config_of(form, 96), prompt, 40, 0.9).logits == full.logits);
    const SessionConfig config = config_of(form);
    const std::string expected = bytes_of(run(model, config, prompt, 40, 0.9).trace);
    Session session(model, config);
    session.prefill(prompt);
    AdvanceRequest request = steps(41, 0.9);
    request.stop = {.evict = true, .block_full = true, .layer = {}};
    int num_stops = 0;
    while (request.max_steps > 0) {
      const AdvanceResult result = advance(session, request);
      request.max_steps -= result.num_steps;
      num_stops += result.event ? 1 : 0;
    }
    REQUIRE(num_stops > 10);
    REQUIRE(bytes_of(session.take_trace()) == expected);
  }
}

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

TEST("reassigned positions equal keys rotated anew to their place in the cache, also beyond maxPositions") {
  TinyLlama tiny(6);
  tiny.config.max_positions = kPrompt + 20;
  const auto model = tiny.open();
  for (const bool by_token : {false, true}) {
    for (const Holes holes : {Holes::kRecycle, Holes::kMask, Holes::kCompact}) {
      if (!by_token && holes != Holes::kRecycle) continue;
      const EvictionUnit unit = by_token ? EvictionUnit::kToken : EvictionUnit::kBlock;
      const Form form{"streaming-llm", unit, holes, Heads::kShared};
      SessionConfig config = config_of(form);
      REQUIRE_ERROR("ERR_OCTAVO_POSITION", run(model, config, some_tokens(kPrompt, 3), kDecoded, 1.0));
      config.policy.positions = Positions::kReassigned;
      if (by_token) config.policy.num_sinks = 3;
      const Run result = run(model, config, some_tokens(kPrompt, 3), kDecoded, 1.0);
      const Live live = live_positions(result.trace, tiny.config);
      const auto place = [&](int layer, int query, int key) {
        if (query < kPrompt) return key;
        const auto& held = live[static_cast<size_t>(query - kPrompt + 1)][static_cast<size_t>(layer)].front();
        return static_cast<int>(std::distance(held.begin(), held.lower_bound(key)));
      };
      std::vector<float> actual;
      std::vector<double> wanted, unmoved;
      const auto expected = tiny.forward_placed(result.tokens, sees_of(live), place);
      const auto original = tiny.forward_placed(result.tokens, sees_of(live), kInPlace);
      for (size_t step = 1; step < result.logits.size(); ++step) {
        actual.insert(actual.end(), result.logits[step].begin(), result.logits[step].end());
        const auto& row = expected[kPrompt - 1 + step];
        wanted.insert(wanted.end(), row.begin(), row.end());
        unmoved.insert(unmoved.end(), original[kPrompt - 1 + step].begin(),
                       original[kPrompt - 1 + step].end());
      }
      const auto count = static_cast<int64_t>(actual.size());
      compare(form.name() + " reassigned", actual.data(), wanted.data(), count, 1e-6, 1e-4);
      REQUIRE(difference(actual.data(), unmoved.data(), count).relative_l2 > 1e-3);

      // Through stops, snapshots in the middle of a step, and forks to a policy that moves nothing.
      for (const int64_t history : {0, 5}) {
        config.history = history;
        Session session(model, config);
        session.prefill(some_tokens(kPrompt, 3));
        advance(session, steps(16, 1.0));
        AdvanceRequest request = steps(20, 1.0);
        request.stop = {.evict = true, .layer = 1};
        const AdvanceResult stopped = advance(session, request);
        REQUIRE(stopped.event);
        const auto first = static_cast<size_t>(16 + stopped.num_steps);
        const int64_t inside = session.take_snapshot();
        const auto fork = session.fork({});
        ForkConfig changes;
        changes.policy = config_of(form).policy;
        session.fork(changes);
        for (size_t step = first; step < first + 12; ++step) {
          advance(session, steps(1, 1.0));
          advance(*fork, steps(1, 1.0));
          REQUIRE(logits_of(session) == result.logits[step]);
          REQUIRE(logits_of(*fork) == result.logits[step]);
        }
        session.rewind_to_snapshot(inside);
        advance(session, steps(1, 1.0));
        REQUIRE(logits_of(session) == result.logits[first]);
      }
    }
  }
}
