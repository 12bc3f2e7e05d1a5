// Every form of eviction of tokens and by heads, and what a layer's heads hold after each step, for the tests
// of sessions.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "session_runs.h"
#include "tiny_llama.h"

namespace octavo::test {

inline constexpr int kBlockSize = 4, kBudget = 16, kPrompt = 37, kDecoded = 45;

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

inline std::vector<Form> all_forms() {
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

inline SessionConfig config_of(const Form& form, int64_t budget = kBudget) {
  SessionConfig config = session_config(form.policy, kBlockSize, budget);
  config.policy.unit = form.unit;
  config.policy.holes = form.holes;
  config.policy.heads = form.heads;
  return config;
}

// Positions that each layer's heads hold after each step; one head stands for all where they share.
using Live = std::vector<std::vector<std::vector<std::set<int>>>>;  // [step][layer][head]

inline Live live_positions(const TraceTables& trace, const LlamaConfig& config) {
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

inline TinyLlama::SeesByHead sees_of(const Live& live) {
  return [&live](int layer, int query, int key, int head) {
    if (query < kPrompt) return true;
    return live[static_cast<size_t>(query - kPrompt + 1)][static_cast<size_t>(layer)]
               [static_cast<size_t>(head)]
                   .count(key) > 0;
  };
}

inline const TinyLlama::Place kInPlace = [](int, int, int key) { return key; };

inline std::vector<int> dropped_in(const EvictionColumns& evictions, size_t row) {
  return {evictions.positions.values.begin() + evictions.positions.offsets[row],
          evictions.positions.values.begin() + evictions.positions.offsets[row + 1]};
}

}  // namespace octavo::test
