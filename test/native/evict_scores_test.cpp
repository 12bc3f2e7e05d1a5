// Kept sets of the scoring policies in a whole model, against oracles in float64 written from the papers'
// definitions as our docs state them; they share no code with the engine. Each oracle is asked to choose from
// what the session holds, so that one close call does not hide the rest.
#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "session_runs.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr int kBlockSize = 4, kBudget = 24, kWindow = 6;

// One layer of a run, in float64.
struct LayerCase {
  const TinyLlama::Captured& captured;
  const LlamaConfig& config;
  int prompt_length;

  double dot(const std::vector<double>& a, size_t row_a, const std::vector<double>& b, size_t row_b) const {
    const auto dim = static_cast<size_t>(config.head_dim);
    double sum = 0;
    for (size_t i = 0; i < dim; ++i) sum += a[row_a * dim + i] * b[row_b * dim + i];
    return sum;
  }
  size_t key_row(int token, int head) const {
    return static_cast<size_t>(token * config.num_kv_heads + head);
  }

  // Probabilities of one query over some keys, averaged over query heads.
  std::map<int, double> attention(int query, const std::vector<int>& keys) const {
    std::map<int, double> mean;
    for (int head = 0; head < config.num_query_heads; ++head) {
      const int kv_head = head / (config.num_query_heads / config.num_kv_heads);
      double sum = 0;
      std::map<int, double> weights;
      for (const int key : keys) {
        const double logit = dot(captured.query, static_cast<size_t>(query * config.num_query_heads + head),
                                 captured.key, key_row(key, kv_head)) /
                             std::sqrt(static_cast<double>(config.head_dim));
        sum += weights[key] = std::exp(logit);
      }
      for (const int key : keys) mean[key] += weights[key] / sum / config.num_query_heads;
    }
    return mean;
  }

  std::map<int, double> inverse_norms(const std::vector<int>& tokens) const {
    std::map<int, double> scores;
    for (const int token : tokens)
      for (int head = 0; head < config.num_kv_heads; ++head)
        scores[token] +=
            1 / std::sqrt(dot(captured.key, key_row(token, head), captured.key, key_row(token, head))) /
            config.num_kv_heads;
    return scores;
  }

  std::map<int, double> distinctness(const std::vector<int>& tokens) const {
    std::map<int, double> scores;
    const auto dim = static_cast<size_t>(config.head_dim);
    for (int head = 0; head < config.num_kv_heads; ++head) {
      std::vector<double> anchor(dim, 0.0);
      for (const int token : tokens) {
        const size_t row = key_row(token, head);
        const double length = std::sqrt(dot(captured.key, row, captured.key, row));
        for (size_t i = 0; i < dim; ++i) anchor[i] += captured.key[row * dim + i] / length;
      }
      const double anchor_length = std::sqrt(dot(anchor, 0, anchor, 0));
      for (const int token : tokens) {
        const size_t row = key_row(token, head);
        scores[token] -= dot(captured.key, row, anchor, 0) / anchor_length /
                         std::sqrt(dot(captured.key, row, captured.key, row)) / config.num_kv_heads;
      }
    }
    return scores;
  }

  std::map<int, double> prompt_mass(int num_queries) const {
    std::map<int, double> mass;
    for (int query = prompt_length - num_queries; query < prompt_length; ++query) {
      std::vector<int> keys;
      for (int key = 0; key <= query; ++key) keys.push_back(key);
      for (const auto& [key, share] : attention(query, keys)) mass[key] += share;
    }
    return mass;
  }
};

std::vector<int> up_to(int end) {
  std::vector<int> tokens;
  for (int token = 0; token < end; ++token) tokens.push_back(token);
  return tokens;
}

std::map<int, double> prompt_scores(const std::string& policy, const LayerCase& layer) {
  const int length = layer.prompt_length;
  if (policy == "inverse-key-norm") return layer.inverse_norms(up_to(length));
  if (policy == "key-diff") return layer.distinctness(up_to(length));
  if (policy == "tova") return layer.prompt_mass(1);
  if (policy == "h2o") return layer.prompt_mass(length);
  std::map<int, double> mass = layer.prompt_mass(kWindow), pooled;
  const int end = length - kWindow;
  for (int token = 0; token < end; ++token)
    for (int other = std::max(0, token - 2); other <= std::min(end - 1, token + 2); ++other)
      pooled[token] += mass[other] / 5;
  return pooled;
}

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
        std::map<int, double> mass = prompt_scores(policy, layer);  // that of h2o goes on in decode
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
