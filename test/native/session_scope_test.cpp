// One decision for all layers, against oracles in float64 that score every layer, reduce and choose by
// themselves; and prompts that are cut before they attend. Tokens are all different, so that no two tie in
// layer 0.
#include <algorithm>
#include <limits>
#include <random>
#include <set>

#include "policy_oracle.h"
#include "session_runs.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr int kBlockSize = 4, kBudget = 24, kWindow = 6, kPrompt = 43, kDecoded = 41, kVocab = 400;
using Scores = std::vector<std::map<int, double>>;  // [num_layers], by position

std::vector<int32_t> different_tokens(unsigned seed, int count = kPrompt + kDecoded) {
  std::vector<int32_t> tokens;
  for (int32_t token = 0; token < kVocab; ++token) tokens.push_back(token);
  std::shuffle(tokens.begin(), tokens.end(), std::mt19937(seed));
  return {tokens.begin(), tokens.begin() + count};
}

SessionConfig scope_config(const std::string& policy, std::optional<SharedBy> shared,
                           EvictionUnit unit = EvictionUnit::kBlock, Holes holes = Holes::kRecycle) {
  SessionConfig config = session_config(policy, kBlockSize, kBudget);
  config.policy.shared = shared;
  config.policy.unit = unit;
  config.policy.holes = holes;
  if (policy == "snap-kv") config.policy.window = kWindow;
  return config;
}

void feed(Session& session, const std::vector<int32_t>& tokens, int num_decoded) {
  session.prefill({tokens.begin(), tokens.begin() + kPrompt});
  AdvanceRequest request = steps(num_decoded + 1);
  request.forced_tokens = {tokens.begin() + kPrompt, tokens.begin() + kPrompt + num_decoded};
  REQUIRE(advance(session, request).reason == StopReason::kSteps);
}

// Evictions of a run: [step][layer] -> positions in order.
struct Drops {
  std::vector<std::map<int, std::vector<std::vector<int>>>> steps;
  Drops(const EvictionColumns& evictions, int num_steps) : steps(static_cast<size_t>(num_steps)) {
    for (size_t row = 0; row < evictions.step_index.size(); ++row) {
      const auto first = evictions.positions.values.begin();
      steps[static_cast<size_t>(evictions.step_index[row])][evictions.layer_index[row]].emplace_back(
          first + evictions.positions.offsets[row], first + evictions.positions.offsets[row + 1]);
    }
  }
};

double mean_of(const std::map<int, double>& scores, const std::vector<int>& tokens) {
  double sum = 0;
  for (const int token : tokens) sum += scores.at(token);
  return sum / static_cast<double>(tokens.size());
}

// What goes, out of groups of tokens (a block, or one token of a prompt), in order of age.
std::set<int> lowest(SharedBy shared, const Scores& scores, const std::vector<std::vector<int>>& groups,
                     size_t num_dropped) {
  std::vector<double> reduced(groups.size());
  const size_t num_layers = shared == SharedBy::kLayer0 ? 1 : scores.size();
  for (size_t layer = 0; layer < num_layers; ++layer) {
    for (size_t group = 0; group < groups.size(); ++group) {
      const double own = mean_of(scores[layer], groups[group]);
      double value = own;
      if (shared == SharedBy::kMeanRank) {
        value = 0;
        for (const auto& other : groups) value += mean_of(scores[layer], other) < own ? 1 : 0;
      }
      reduced[group] += value;
    }
  }
  std::vector<size_t> order;
  for (size_t group = 0; group < groups.size(); ++group) order.push_back(group);
  // Ranks are small whole numbers, so equal means of them are equal in any precision: the older goes first.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return reduced[a] < reduced[b]; });
  std::set<int> dropped;
  for (size_t i = 0; i < num_dropped; ++i) dropped.insert(groups[order[i]].begin(), groups[order[i]].end());
  return dropped;
}

struct Counts {
  int num_choices = 0, num_unlike_layer_0 = 0;
};

// Runs sessions of the policies and checks each cut against the oracle's.
Counts compare_with_oracle(const std::vector<std::string>& policies, EvictionUnit unit, Holes holes) {
  Counts counts;
  const bool by_token = unit == EvictionUnit::kToken;
  for (const SharedBy shared : {SharedBy::kLayer0, SharedBy::kMeanScore, SharedBy::kMeanRank})
    for (const std::string& policy : policies)
      for (unsigned seed = 60; seed < 63; ++seed) {
        const TinyLlama tiny(seed, kVocab);
        const std::vector<int32_t> tokens = different_tokens(seed);
        Session session(tiny.open(), scope_config(policy, shared, unit, holes));
        feed(session, tokens, kDecoded);
        const TraceTables trace = session.take_trace();
        const Drops drops(trace.evictions, kDecoded + 1);
        std::map<int, int> gone_at;
        for (size_t step = 0; step < drops.steps.size(); ++step)
          for (const auto& [layer, rows] : drops.steps[step]) {
            REQUIRE(rows == drops.steps[step].at(0));
            for (const int position : rows.front())
              gone_at[position] = kPrompt + (step == 0 ? 0 : static_cast<int>(step) - 1);
          }
        std::vector<TinyLlama::Captured> captured;
        tiny.forward(
            tokens,
            [&](int, int query, int key) { return gone_at.count(key) == 0 || query < gone_at.at(key); },
            &captured);
        std::vector<LayerCase> layers;
        for (const auto& layer : captured) layers.push_back({layer, tiny.config, kPrompt});
        Scores mass;
        for (const LayerCase& layer : layers) mass.push_back(prompt_scores(policy, layer, kWindow));
        std::vector<int> live = up_to(kPrompt);
        for (int step = 0; step <= kDecoded; ++step) {
          const int newest = kPrompt + step - 1;
          const std::vector<int> before = live;  // what is cached as the step begins
          if (step > 0) live.push_back(newest);
          const auto& rows = drops.steps[static_cast<size_t>(step)];
          const bool is_over = live.size() > static_cast<size_t>(kBudget);
          const bool cuts =
              step == 0 || (policy != "snap-kv" && is_over && (by_token || live.size() % kBlockSize == 0));
          REQUIRE_EQUAL(static_cast<int>(rows.size()), cuts ? tiny.config.num_layers : 0);
          if (cuts) {
            Scores scores = mass;
            std::vector<std::vector<int>> groups;
            size_t num_dropped = 1;
            if (step == 0) {
              const int tail = policy == "h2o" ? kBudget / 2 : policy == "snap-kv" ? kWindow : 3;
              for (int token = kBlockSize; token < kPrompt - tail; ++token) groups.push_back({token});
              num_dropped = kPrompt - kBudget;
            } else {
              const bool with_newest = shared == SharedBy::kLayer0;
              const std::vector<int>& seen = with_newest ? live : before;
              for (size_t layer = 0; layer < layers.size(); ++layer) {
                if (policy == "paged-eviction") scores[layer] = layers[layer].norm_ratios(live);
                if (policy == "inverse-key-norm") scores[layer] = layers[layer].inverse_norms(live);
                if (policy == "key-diff") scores[layer] = layers[layer].distinctness(seen);
                if (policy == "tova")
                  scores[layer] = layers[layer].attention(with_newest ? newest : newest - 1, seen);
              }
              const size_t num_protected = policy == "h2o" ? kBudget / kBlockSize / 2 : 1;
              const int num_newest = policy == "h2o" ? kBudget / 2 : 1;
              for (const int token : live)
                if (by_token && token >= kBlockSize && token <= newest - num_newest)
                  groups.push_back({token});
              for (size_t block = 1; !by_token && block < live.size() / kBlockSize - num_protected; ++block)
                groups.emplace_back(live.begin() + static_cast<int64_t>(block) * kBlockSize,
                                    live.begin() + static_cast<int64_t>(block + 1) * kBlockSize);
            }
            const std::vector<int>& dropped = rows.at(0).front();
            const std::set<int> expected = lowest(shared, scores, groups, num_dropped);
            REQUIRE(expected == std::set<int>(dropped.begin(), dropped.end()));
            ++counts.num_choices;
            counts.num_unlike_layer_0 += expected != lowest(SharedBy::kLayer0, scores, groups, num_dropped);
            for (const int token : dropped) live.erase(std::find(live.begin(), live.end(), token));
          }
          if (step > 0 && policy == "h2o")
            for (size_t layer = 0; layer < layers.size(); ++layer)
              for (const auto& [key, share] : layers[layer].attention(newest, live))
                mass[layer][key] += share;
        }
      }
  return counts;
}

}  // namespace

TEST("layers that share a decision drop what the oracle's reduction drops, at prefill and in decode") {
  const Counts counts =
      compare_with_oracle({"paged-eviction", "inverse-key-norm", "key-diff", "tova", "h2o", "snap-kv"},
                          EvictionUnit::kBlock, Holes::kRecycle);
  REQUIRE(counts.num_choices > 300);
  REQUIRE(counts.num_unlike_layer_0 > 100);  // the reductions are told apart
}

TEST("so do single tokens, one a step, whatever becomes of their slots") {
  for (const Holes holes : {Holes::kRecycle, Holes::kMask, Holes::kCompact}) {
    const Counts counts =
        compare_with_oracle({"inverse-key-norm", "key-diff", "tova", "h2o"}, EvictionUnit::kToken, holes);
    REQUIRE(counts.num_choices > 1000);
    REQUIRE(counts.num_unlike_layer_0 > 300);
  }
}

TEST("under a shared scope every layer holds the same positions, and scores stand in each row alike") {
  const TinyLlama tiny(3);
  const auto model = tiny.open();
  for (const SharedBy shared : {SharedBy::kLayer0, SharedBy::kMeanScore, SharedBy::kMeanRank})
    for (const std::string& policy : native_policy_names()) {
      if (policy == "full") continue;
      for (const auto& [block_size, budget] : {std::pair{4, 24}, std::pair{1, 5}}) {
        SessionConfig config = session_config(policy, block_size, budget);
        config.policy.shared = shared;
        const Run result = run(model, config, some_tokens(37, 4), 30, 1.0);
        std::map<std::pair<int, int>, std::vector<int>> positions;  // by step and layer
        const BlockColumns& blocks = result.trace.blocks;
        for (size_t row = 0; row < blocks.step_index.size(); ++row)
          for (int i = blocks.positions.offsets[row]; i < blocks.positions.offsets[row + 1]; ++i)
            positions[{blocks.step_index[row], blocks.layer_index[row]}].push_back(
                blocks.positions.values[static_cast<size_t>(i)]);
        for (const auto& [place, held] : positions) REQUIRE(held == positions.at({place.first, 0}));
        const EvictionColumns& evictions = result.trace.evictions;
        REQUIRE(!evictions.step_index.empty());
        for (size_t row = 0; row < evictions.step_index.size(); ++row)
          REQUIRE(!(evictions.runner_up_score[row] < evictions.score[row]));
      }
    }
}
