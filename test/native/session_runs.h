// Running a session in tests, and traces without their times as one text that compares bit for bit.
#pragma once

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "evict/registry.h"
#include "session/session.h"
#include "test.h"

namespace octavo::test {

// Policies that decide alone, unlike the one that asks its caller.
inline std::vector<std::string> native_policy_names() {
  std::vector<std::string> names = policy_names();
  names.erase(std::find(names.begin(), names.end(), "custom"));
  return names;
}

inline SessionConfig session_config(const std::string& policy, int block_size, int64_t budget) {
  SessionConfig config;
  config.block_size = block_size;
  config.num_blocks = 600 / block_size + 1;
  config.policy.name = policy;
  if (policy != "full") config.policy.budget = budget;
  config.policy.seed = config.seed = 77;
  config.record_blocks = true;
  return config;
}

inline std::vector<int32_t> some_tokens(int64_t count, unsigned seed, int vocab_size = 31) {
  std::vector<int32_t> tokens;
  uint32_t state = seed * 2654435761U + 1;
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525U + 1013904223U;
    tokens.push_back(static_cast<int32_t>((state >> 16) % static_cast<uint32_t>(vocab_size)));
  }
  return tokens;
}

inline AdvanceResult advance(Session& session, const AdvanceRequest& request) {
  const std::atomic<bool> cancelled = false;
  return session.advance(request, cancelled);
}

inline AdvanceRequest steps(int64_t count, double temperature = 0) {
  AdvanceRequest request;
  request.max_steps = count;
  request.sampling.temperature = temperature;
  return request;
}

// Not inlined: where g++ 12 inlines it, it warns of a free that is none.
[[gnu::noinline]] inline std::vector<float> logits_of(const Session& session) {
  const float* logits = session.logits().f32();
  return {logits, logits + session.logits().num_elements()};
}

// Appends every byte of every column but the wall times, which differ from run to run.
struct ColumnBytes {
  std::string bytes;

  template <typename T>
  void append(const std::vector<T>& column) {
    bytes += std::to_string(column.size()) + ":";
    bytes.append(reinterpret_cast<const char*>(column.data()), column.size() * sizeof(T));
  }
  template <typename T>
  void operator()(const char* name, std::vector<T>& column) {
    const std::string unit = "_us";
    const std::string text = name;
    if (text.size() > unit.size() && text.substr(text.size() - unit.size()) == unit) return;
    bytes += text;
    append(column);
  }
  template <typename T>
  void operator()(const char* name, ListColumn<T>& column) {
    bytes += name;
    append(column.offsets);
    append(column.values);
  }
};

inline std::string bytes_of(TraceTables tables) {
  ColumnBytes writer;
  tables.steps.visit(writer);
  tables.blocks.visit(writer);
  tables.evictions.visit(writer);
  tables.memory.visit(writer);
  return writer.bytes;
}

// The state of all layers as text, NaN included.
inline std::string state_of(const Session& session) {
  std::string text = std::to_string(session.num_tokens());
  for (int layer = 0; layer < session.model_config().num_layers; ++layer) {
    const LayerState state = session.layer_state(layer);
    text += "|";
    text += std::to_string(state.kv_len) + " " + std::to_string(state.num_free_blocks);
    for (size_t index = 0; index < state.block_ids.size(); ++index) {
      text += " ";
      text += std::to_string(state.block_ids[index]) + ":" + std::to_string(state.filled[index]) + ":" +
              std::to_string(state.scores[index]) + ":" + std::to_string(state.ref_counts[index]);
    }
  }
  return text;
}

struct Run {
  std::vector<int32_t> tokens;
  std::vector<std::vector<float>> logits;  // after each step
  TraceTables trace;
};

// All rows from one on as one list: what a run's steps gave, or a dense model for its tokens.
template <typename Number>
std::vector<Number> joined_rows(const std::vector<std::vector<Number>>& rows, size_t first = 0) {
  std::vector<Number> all;
  for (size_t row = first; row < rows.size(); ++row)
    all.insert(all.end(), rows[row].begin(), rows[row].end());
  return all;
}

// Logits of all steps against those that a dense model gives after each token.
inline void compare_logits(const std::string& what, const Run& run,
                           const std::vector<std::vector<double>>& expected,  // [num_tokens][vocab_size]
                           double max_relative_l2, double max_absolute) {
  const std::vector<float> actual = joined_rows(run.logits);
  const std::vector<double> wanted = joined_rows(expected, expected.size() - run.logits.size());
  REQUIRE_EQUAL(actual.size(), wanted.size());
  compare(what, actual.data(), wanted.data(), static_cast<int64_t>(actual.size()), max_relative_l2,
          max_absolute);
}

// A prompt and some decoded tokens, step by step.
inline Run run(std::shared_ptr<const LlamaModel> model, const SessionConfig& config,
               const std::vector<int32_t>& prompt, int64_t num_decoded, double temperature = 0) {
  Session session(std::move(model), config);
  session.prefill(prompt);
  Run result;
  for (int64_t step = 0; step <= num_decoded; ++step) {
    const AdvanceResult advanced = advance(session, steps(1, temperature));
    REQUIRE(advanced.reason == StopReason::kSteps && advanced.num_steps == 1);
    result.logits.push_back(logits_of(session));
  }
  result.tokens = session.tokens();
  result.trace = session.take_trace();
  return result;
}

}  // namespace octavo::test
