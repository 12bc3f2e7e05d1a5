// Kept sets of the scoring policies in a whole model, against oracles in float64 written from the papers'
// definitions as our docs state them; they share no code with the engine. Each oracle is asked to choose from
// what the session holds, so that one close call does not hide the rest.
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

constexpr int kBlockSize = 4, kBudget = 24, kWindow = 6;

}  // namespace

TEST("scoring policies keep what their definitions keep, in a whole model in float64") {
  constexpr int kPrompt = 43, kDecoded = 41, kTail = 3;
  int num_choices = 0;
  for (const std::string policy : {"inverse-key-norm", "key-diff", "tova", "h2o", "snap-kv"}) {
    for (unsigned seed = 40; seed < 44; ++seed) {
      const TinyLlama tiny(seed);
      SessionConfig config = session_config(policy, kBlockSize, kBudget);
      if (policy == "snap-kv") config.policy.window = kWindow;
      const Run result = run(tiny.open(), config, some_tokens(kPrompt, seed), kDecoded, 1.0);
      const EvictionColumns& evictions = result.trace.evictions;
      const auto dropped_in = [&](size_t row) {
        return std::vector<int>(evictions.positions.values.begin() + evictions.positions.offsets[row],
                                evictions.positions.values.begin() + evictions.positions.offsets[row + 1]);
      };
      // When each position of each layer left: at the end of the prompt, or before that query attended.
      std::map<std::pair<int, int>, int> gone_at;
      for (size_t row = 0; row < evictions.step_index.size(); ++row)
        for (const int position : dropped_in(row))
          gone_at[{evictions.layer_index[row], position}] =
              evictions.step_index[row] == 0 ? kPrompt : kPrompt + evictions.step_index[row] - 1;
      std::vector<TinyLlama::Captured> captured;
      tiny.forward(
          result.tokens,
          [&](int layer, int query, int key) {
            const auto found = gone_at.find({layer, key});
            return found == gone_at.end() || query < found->second;
          },
          &captured);

      // Not layer 0: equal tokens tie there up to RoPE's rounding.
      for (int index = 1; index < tiny.config.num_layers; ++index) {
        const LayerCase layer{captured[static_cast<size_t>(index)], tiny.config, kPrompt};
        std::map<int, double> mass = prompt_scores(policy, layer, kWindow);  // that of h2o goes on in decode
        std::vector<int> live = up_to(kPrompt);
        size_t row = 0;
        for (int step = 0; step <= kDecoded; ++step) {
          const int newest = kPrompt + step - 1;
          if (step > 0) live.push_back(newest);
          const bool evicts = step == 0 || (policy != "snap-kv" && live.size() % kBlockSize == 0 &&
                                            live.size() > static_cast<size_t>(kBudget));
          if (evicts) {
            while (row < evictions.step_index.size() &&
                   (evictions.layer_index[row] != index || evictions.step_index[row] != step))
              ++row;
            REQUIRE(row < evictions.step_index.size());
            const std::vector<int> dropped = dropped_in(row);
            std::set<int> expected;
            if (step == 0) {
              int tail = policy == "h2o" ? kBudget / 2 : kTail;
              if (policy == "snap-kv") tail = kWindow;
              std::vector<std::pair<double, int>> ranks;
              for (int token = kBlockSize; token < kPrompt - tail; ++token)
                ranks.push_back({mass.at(token), token});
              std::sort(ranks.begin(), ranks.end());
              for (size_t i = 0; i < static_cast<size_t>(kPrompt - kBudget); ++i)
                expected.insert(ranks[i].second);
            } else {
              std::map<int, double> scores = mass;
              if (policy == "inverse-key-norm") scores = layer.inverse_norms(live);
              if (policy == "key-diff") scores = layer.distinctness(live);
              if (policy == "tova") scores = layer.attention(newest, live);
              double lowest = std::numeric_limits<double>::infinity();
              const size_t num_protected = policy == "h2o" ? kBudget / kBlockSize / 2 : 1;
              for (size_t block = 1; block < live.size() / kBlockSize - num_protected; ++block) {
                const auto begin = live.begin() + static_cast<int64_t>(block) * kBlockSize;
                double sum = 0;
                for (auto token = begin; token != begin + kBlockSize; ++token) sum += scores.at(*token);
                if (sum >= lowest) continue;
                lowest = sum;
                expected = {begin, begin + kBlockSize};
              }
            }
            REQUIRE(expected == std::set<int>(dropped.begin(), dropped.end()));
            ++num_choices;
            for (const int token : dropped) live.erase(std::find(live.begin(), live.end(), token));
          }
          if (step > 0 && policy == "h2o")
            for (const auto& [key, share] : layer.attention(newest, live)) mass[key] += share;
        }
      }
    }
  }
  REQUIRE(num_choices > 200);
}
