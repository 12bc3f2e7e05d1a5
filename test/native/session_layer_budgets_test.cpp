// A budget for each layer: against sessions of one budget where layers cannot tell, against dense attention
// and kept sets from the definitions in float64 where they can, and in forks, rewinds and batches.
#include <algorithm>
#include <map>
#include <set>

#include "batch_runs.h"
#include "policy_oracle.h"
#include "token_forms.h"

using namespace octavo;
using namespace octavo::test;

namespace {

// One below the prompt in whole blocks, one above it, so that layers fill their blocks in different steps.
const std::vector<int64_t> kBudgets = {24, 40, 12};

std::vector<Form> all_budgeted_forms() {
  std::vector<Form> forms = all_forms();
  for (const std::string& policy : native_policy_names())
    if (policy != "full") forms.push_back({policy, EvictionUnit::kBlock, Holes::kRecycle, Heads::kShared});
  return forms;
}

SessionConfig layered(SessionConfig config, std::vector<int64_t> budgets = kBudgets) {
  config.policy.budget.reset();
  config.policy.layer_budgets = std::move(budgets);
  return config;
}

Run forced_run(const std::shared_ptr<const LlamaModel>& model, const SessionConfig& config,
               const std::vector<int32_t>& tokens) {
  Session session(model, config);
  session.prefill({tokens.begin(), tokens.begin() + kPrompt});
  AdvanceRequest request = steps(1 + static_cast<int64_t>(tokens.size()) - kPrompt);
  request.forced_tokens = {tokens.begin() + kPrompt, tokens.end()};
  REQUIRE(advance(session, request).reason == StopReason::kSteps);
  return {.tokens = session.tokens(), .logits = {logits_of(session)}, .trace = session.take_trace()};
}

}  // namespace

TEST(
    "every form: layers keep of a prompt what they keep at the same budget in all layers, and layer 0 "
    "always") {
  const TinyLlama tiny(5);
  const auto model = tiny.open();
  const std::vector<int32_t> tokens = some_tokens(kPrompt + kDecoded, 6);
  for (const Form& form : all_budgeted_forms()) {
    const Live live = live_positions(forced_run(model, layered(config_of(form)), tokens).trace, tiny.config);
    for (size_t layer = 0; layer < kBudgets.size(); ++layer) {
      const Run uniform = forced_run(model, config_of(form, kBudgets[layer]), tokens);
      const Live expected = live_positions(uniform.trace, tiny.config);
      // What layers beyond the first score in decode depends on what those below them hold.
      const bool is_blind = form.policy == "random" || form.policy == "streaming-llm";
      const size_t num_steps = layer == 0 || is_blind ? live.size() : 1;
      for (size_t step = 0; step < num_steps; ++step) REQUIRE(live[step][layer] == expected[step][layer]);
    }
  }
}

TEST("every form: attention in decode is that over what each layer holds, within its own budget") {
  const TinyLlama tiny(4);
  const auto model = tiny.open();
  for (const Form& form : all_budgeted_forms()) {
    const Run result = run(model, layered(config_of(form)), some_tokens(kPrompt, 3), kDecoded, 1.0);
    const Live live = live_positions(result.trace, tiny.config);
    compare_logits(form.name(), result, tiny.forward_placed(result.tokens, sees_of(live), kInPlace), 1e-5,
                   1e-3);
    if (form.policy == "snap-kv") continue;
    const MemoryColumns& memory = result.trace.memory;
    std::set<int> largest;
    for (size_t row = 0; row < memory.step_index.size(); ++row) {
      const int64_t budget = kBudgets[static_cast<size_t>(memory.layer_index[row])];
      const int64_t beyond = form.unit == EvictionUnit::kToken ? 1 : kBlockSize;
      REQUIRE(memory.live_tokens[row] < budget + beyond);
      if (memory.step_index[row] >= kDecoded - kBlockSize) largest.insert(memory.live_tokens[row]);
      if (memory.step_index[row] > 8) REQUIRE(memory.live_tokens[row] >= budget);
    }
    REQUIRE(largest.size() >= 3);
  }
}

TEST("blocks that go are those of the definitions in float64, each layer at its own budget") {
  int num_choices = 0;
  for (const std::string policy : {"paged-eviction", "inverse-key-norm", "key-diff", "tova"}) {
    const TinyLlama tiny(46);
    const Run result = run(tiny.open(), layered(session_config(policy, kBlockSize, 0)),
                           some_tokens(kPrompt, 8), kDecoded, 1.0);
    const Live live = live_positions(result.trace, tiny.config);
    std::vector<TinyLlama::Captured> captured;
    tiny.forward_placed(result.tokens, sees_of(live), kInPlace, &captured);
    // Not layer 0: equal tokens tie there up to RoPE's rounding.
    for (size_t index = 1; index < captured.size(); ++index) {
      const LayerCase layer{captured[index], tiny.config, kPrompt};
      std::vector<int> held(live[0][index][0].begin(), live[0][index][0].end());
      for (int step = 1; step <= kDecoded; ++step) {
        const int newest = kPrompt + step - 1;
        held.push_back(newest);
        if (static_cast<int64_t>(held.size()) > kBudgets[index] && held.size() % kBlockSize == 0) {
          const std::map<int, double> scores = policy == "paged-eviction"     ? layer.norm_ratios(held)
                                               : policy == "inverse-key-norm" ? layer.inverse_norms(held)
                                               : policy == "key-diff"         ? layer.distinctness(held)
                                                                              : layer.attention(newest, held);
          const auto sum_at = [&](size_t block) {
            double sum = 0;
            for (size_t i = 0; i < kBlockSize; ++i) sum += scores.at(held[block * kBlockSize + i]);
            return sum;
          };
          size_t lowest = 1;
          for (size_t block = 2; block + 1 < held.size() / kBlockSize; ++block)
            if (sum_at(block) < sum_at(lowest)) lowest = block;
          const auto first = held.begin() + static_cast<int64_t>(lowest) * kBlockSize;
          held.erase(first, first + kBlockSize);
          ++num_choices;
        }
        const std::set<int>& kept = live[static_cast<size_t>(step)][index][0];
        REQUIRE(std::vector<int>(kept.begin(), kept.end()) == held);
      }
    }
  }
  REQUIRE(num_choices >= 60);
}

TEST("a fork takes up budgets by layer, and a rewind over its evictions replays them bit for bit") {
  const TinyLlama tiny(7);
  const auto model = tiny.open();
  for (const Form& form : all_budgeted_forms()) {
    if (form.policy == "snap-kv") continue;
    SessionConfig config = config_of(form, 48);
    config.history = 30;
    Session parent(model, config);
    parent.prefill(some_tokens(kPrompt, 2));
    advance(parent, steps(20));
    ForkConfig changes;
    changes.policy = layered(config_of(form)).policy;
    const auto fork = parent.fork(changes);
    advance(*fork, steps(4));
    fork->take_trace();
    const int64_t num_tokens = fork->num_tokens();
    advance(*fork, steps(20));
    for (int layer = 0; layer < 3; ++layer) {
      const int64_t kv_len = fork->layer_state(layer).kv_len, budget = kBudgets[static_cast<size_t>(layer)];
      REQUIRE(kv_len >= budget && kv_len < budget + kBlockSize);
    }
    const TraceTables trace = fork->take_trace();
    const std::vector<float> logits = logits_of(*fork);
    fork->rewind(RewindUnit::kTokens, num_tokens);
    advance(*fork, steps(20));
    const TraceTables again = fork->take_trace();
    REQUIRE(!trace.evictions.positions.values.empty());
    REQUIRE(again.evictions.positions.values == trace.evictions.positions.values);
    REQUIRE(again.blocks.positions.values == trace.blocks.positions.values);
    REQUIRE(again.memory.live_tokens == trace.memory.live_tokens);
    REQUIRE(logits_of(*fork) == logits);
  }
}

TEST("a batch holds each sequence to its budgets by layer, as a session does") {
  const TinyLlama tiny(9);
  const auto model = tiny.open();
  Batch batch(model, {.block_size = kBlockSize,
                      .num_blocks = 60,
                      .kv_dtype = DType::kF32,
                      .max_sequences = 8,
                      .watermark = 0});
  std::vector<BatchRequest> requests;
  std::vector<std::shared_ptr<Session>> sequences;
  for (const std::string policy : {"paged-eviction", "key-diff", "h2o", "snap-kv"}) {
    requests.push_back(batch_request(policy, 0, some_tokens(kPrompt, 12), 30));
    requests.back().policy.budget.reset();
    requests.back().policy.layer_budgets = kBudgets;
    sequences.push_back(batch.add(requests.back()).session);
  }
  run_to_end(batch);
  for (size_t id = 0; id < requests.size(); ++id) {
    const Run alone =
        run(model, layered(session_config(requests[id].policy.name, kBlockSize, 0)), requests[id].prompt, 30);
    TraceTables trace = sequences[id]->take_trace();
    REQUIRE(trace.evictions.positions.values == alone.trace.evictions.positions.values);
    REQUIRE(trace.memory.live_tokens == alone.trace.memory.live_tokens);
    REQUIRE(trace.blocks.positions.values == alone.trace.blocks.positions.values);
  }
}

TEST("a long prompt is cut in the layers whose budgets it passes, and whole in the others") {
  TinyLlama tiny(11);
  tiny.config.max_positions = 900;  // longer than the parts that a prompt kept whole is computed in
  const auto model = tiny.open();
  const std::vector<int32_t> prompt = some_tokens(790, 4);
  for (const std::string policy : {"streaming-llm", "random"}) {
    SessionConfig config = session_config(policy, kBlockSize, 24);
    config.num_blocks = 200;
    const Run uniform = run(model, config, prompt, 0);
    const Run result = run(model, layered(config, {800, 24, 800}), prompt, 0);
    const Live live = live_positions(result.trace, tiny.config);
    REQUIRE_EQUAL(live[0][0][0].size(), size_t{790});
    REQUIRE_EQUAL(live[0][2][0].size(), size_t{790});
    REQUIRE(live[0][1] == live_positions(uniform.trace, tiny.config)[0][1]);
  }
}

TEST("blocks are asked for by what each layer keeps: before a prompt, in a batch, and for copies") {
  const auto model = TinyLlama(12).open();
  const std::vector<int64_t> budgets = {12, 24, 40};  // 37 tokens are 10 blocks in the last layer
  const auto fails = [](const auto& call, const std::string& message) {
    try {
      call();
    } catch (const Error& error) {
      REQUIRE_EQUAL(error.code(), "ERR_OCTAVO_POOL_EXHAUSTED");
      return std::string(error.what()).find(message) != std::string::npos;
    }
    return false;
  };
  for (const int num_blocks : {9, 10}) {
    SessionConfig config = layered(session_config("key-diff", kBlockSize, 0), budgets);
    config.num_blocks = num_blocks;
    Session session(model, config);
    session.prefill(some_tokens(kPrompt, 2));
    const auto step = [&] { advance(session, steps(1)); };
    REQUIRE_EQUAL(fails(step, "Expected 10 free blocks for this step in layer 2"), num_blocks == 9);
    BatchRequest request = batch_request("key-diff", 0, some_tokens(kPrompt, 2), 3);
    request.policy = config.policy;
    Batch batch(model, {.block_size = kBlockSize, .num_blocks = num_blocks, .watermark = 0});
    REQUIRE_EQUAL(fails([&] { batch.add(request); }, "this one needs 10"), num_blocks == 9);
  }
  // Layer 0 writes over a token of a shared block; the others, below their budgets, copy the newest block
  // alone.
  SessionConfig config = layered(session_config("key-diff", kBlockSize, 0), {12, 16, 16});
  config.policy.unit = EvictionUnit::kToken;
  config.num_blocks = 5;
  Session parent(model, config);
  parent.prefill(some_tokens(13, 2));
  advance(parent, steps(1));
  const auto fork = parent.fork({});
  REQUIRE_EQUAL(advance(parent, steps(1)).num_steps, 1);
}

TEST("budgets that do not fit are refused with the layer, what was expected and what came") {
  const auto model = TinyLlama(1).open();
  const auto refuse = [&](std::vector<int64_t> budgets, const std::string& message,
                          const std::string& policy = "h2o", bool shares = false) {
    SessionConfig config = layered(session_config(policy, kBlockSize, 0), std::move(budgets));
    if (shares) config.policy.shared = SharedBy::kLayer0;
    if (policy == "h2o") config.policy.num_recent = 10;
    std::string code, what;
    try {
      const Session session(model, config);
    } catch (const Error& error) {
      code = error.code();
      what = error.what();
    }
    REQUIRE_EQUAL(code, "ERR_OCTAVO_BUDGET");
    REQUIRE(what.find(message) != std::string::npos);
  };
  refuse({16, 16}, "Expected a budget for each of the 3 layers but received 2");
  refuse({16, 16, 16, 16}, "Expected a budget for each of the 3 layers but received 4");
  refuse({16, 18, 16}, "for budget but received 18 in layer 1");
  refuse({16, 16, 8}, "for budget but received 8 in layer 2");
  refuse({16, 12, 16}, "for recent but received 10 in layer 1");
  refuse({16, 16, 16}, "Expected one budget for all layers, which share their decisions", "key-diff", true);
}

TEST("blocks are foreseen, batches joined and long prompts cut by the budget of each layer") {
  constexpr int kLong = kTokensPerPart + 20;
  TinyLlama tiny(10);
  tiny.config.max_positions = kLong + 12;
  const auto model = tiny.open();
  const std::vector<int32_t> prompt = some_tokens(40, 2);
  SessionConfig config = layered(session_config("streaming-llm", kBlockSize, 0), {12, 32, 32});
  config.num_blocks = 5;
  Session small(model, config);
  small.prefill(prompt);
  std::string message;
  try {
    advance(small, steps(1));
  } catch (const Error& error) {
    message = error.what();
  }
  REQUIRE(message.find("for this step in layer 1") != std::string::npos);

  Batch batch(model, {.block_size = kBlockSize,
                      .num_blocks = 6,
                      .kv_dtype = DType::kF32,
                      .max_sequences = 2,
                      .watermark = 0});
  BatchRequest request = batch_request("streaming-llm", 0, prompt, 1);
  request.policy.budget.reset();
  request.policy.layer_budgets = {12, 32, 32};
  REQUIRE_ERROR("ERR_OCTAVO_POOL_EXHAUSTED", batch.add(request));

  config = layered(session_config("streaming-llm", kBlockSize, 0), {kLong + 12, 12, 12});
  config.num_blocks = kLong / kBlockSize + 4;
  Session session(model, config);
  session.prefill(some_tokens(kLong, 3));
  advance(session, steps(1));
  const TraceTables trace = session.take_trace();
  REQUIRE_EQUAL(trace.memory.live_tokens[0], kLong);
  REQUIRE_EQUAL(trace.memory.live_tokens[1], 12);
  REQUIRE_EQUAL(trace.memory.live_tokens[2], 12);
}
