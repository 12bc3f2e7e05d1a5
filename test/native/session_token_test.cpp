// Tokens that leave one by one in decode, and heads that keep their own, in every form: against dense
// attention that masks what is gone, against kept sets from the definitions in float64, and stops and
// unreached budgets change nothing.
#include <algorithm>
#include <map>
#include <set>

#include "policy_oracle.h"
#include "token_forms.h"

using namespace octavo;
using namespace octavo::test;

TEST("every form: attention equals dense attention that masks what is gone, and the trace tells the truth") {
  const TinyLlama tiny(4);
  const auto model = tiny.open();
  for (const Form& form : all_forms()) {
    const Run result = run(model, config_of(form), some_tokens(kPrompt, 3), kDecoded, 1.0);
    const Live live = live_positions(result.trace, tiny.config);
    const auto expected = tiny.forward_placed(result.tokens, sees_of(live), kInPlace);
    compare_logits(form.name(), result, expected, 1e-5, 1e-3);

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
