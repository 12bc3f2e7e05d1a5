// Sessions against a dense float64 model that masks what was evicted, against an oracle of the kept sets, and
// the properties that hold for every policy.
#include <algorithm>
#include <limits>
#include <set>

#include "evict/registry.h"
#include "session_runs.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

// Positions that stand in each layer's blocks after each step, from the blocks table.
std::vector<std::vector<std::set<int>>> live_positions(const TraceTables& trace, int num_layers) {
  std::vector<std::vector<std::set<int>>> live;
  const BlockColumns& blocks = trace.blocks;
  for (size_t row = 0; row < blocks.step_index.size(); ++row) {
    const auto step = static_cast<size_t>(blocks.step_index[row]);
    while (live.size() <= step) live.emplace_back(static_cast<size_t>(num_layers));
    for (int i = blocks.positions.offsets[row]; i < blocks.positions.offsets[row + 1]; ++i) {
      const bool fresh = live[step][static_cast<size_t>(blocks.layer_index[row])]
                             .insert(blocks.positions.values[static_cast<size_t>(i)])
                             .second;
      REQUIRE(fresh);
    }
  }
  return live;
}

// What attention may read: within the prompt everything before, in decode what is live after the cut.
TinyLlama::Sees sees_of(const std::vector<std::vector<std::set<int>>>& live, int prompt_length) {
  return [&live, prompt_length](int layer, int query, int key) {
    if (query < prompt_length) return true;
    return live[static_cast<size_t>(query - prompt_length + 1)][static_cast<size_t>(layer)].count(key) > 0;
  };
}

// PagedEviction from the definition, in float64, for one layer: kept positions after the prompt and each
// decoded token.
std::vector<std::set<int>> oracle_kept(const TinyLlama::Captured& captured, const LlamaConfig& config,
                                       int num_tokens, int prompt_length, int block_size, int budget) {
  std::vector<double> scores;
  for (int t = 0; t < num_tokens; ++t) {
    double sum = 0;
    for (int head = 0; head < config.num_kv_heads; ++head) {
      double key = 0, value = 0;
      for (int i = 0; i < config.head_dim; ++i) {
        const auto at = static_cast<size_t>((t * config.num_kv_heads + head) * config.head_dim + i);
        key += captured.key[at] * captured.key[at];
        value += captured.value[at] * captured.value[at];
      }
      sum += std::sqrt(value) / std::sqrt(key);
    }
    scores.push_back(sum / config.num_kv_heads);
  }
  std::vector<int> kept;
  for (int t = 0; t < prompt_length; ++t) kept.push_back(t);
  const int tail = prompt_length % block_size == 0 ? block_size : prompt_length % block_size;
  while (static_cast<int>(kept.size()) > budget) {
    int lowest = -1;
    for (size_t i = 0; i < kept.size(); ++i) {
      if (kept[i] < block_size || kept[i] >= prompt_length - tail) continue;
      if (lowest < 0 || scores[static_cast<size_t>(kept[i])] <
                            scores[static_cast<size_t>(kept[static_cast<size_t>(lowest)])]) {
        lowest = static_cast<int>(i);
      }
    }
    kept.erase(kept.begin() + lowest);
  }
  std::vector<std::set<int>> result = {{kept.begin(), kept.end()}};
  for (int t = prompt_length; t < num_tokens; ++t) {
    kept.push_back(t);
    const int size = static_cast<int>(kept.size());
    if (size % block_size == 0 && size > budget) {
      int lowest = -1;
      double lowest_score = std::numeric_limits<double>::infinity();
      for (int block = 1; block < size / block_size - 1; ++block) {
        double score = 0;
        for (int i = 0; i < block_size; ++i)
          score += scores[static_cast<size_t>(kept[static_cast<size_t>(block * block_size + i)])];
        if (score < lowest_score) lowest = block, lowest_score = score;
      }
      kept.erase(kept.begin() + lowest * block_size, kept.begin() + (lowest + 1) * block_size);
    }
    result.push_back({kept.begin(), kept.end()});
  }
  return result;
}

struct Shape {
  int block_size;
  int64_t budget;
  int prompt_length, num_decoded;
};

const Shape kShapes[] = {{4, 16, 37, 40}, {8, 24, 11, 70}, {1, 5, 9, 12}, {4, 12, 12, 30}, {16, 48, 49, 40}};

}  // namespace

TEST("attention over an evicted table equals dense attention that masks the evicted positions") {
  for (const Shape& shape : kShapes) {
    const TinyLlama tiny(static_cast<unsigned>(shape.block_size));
    const auto model = tiny.open();
    for (const std::string& policy : native_policy_names()) {
      const Run result = run(model, session_config(policy, shape.block_size, shape.budget),
                             some_tokens(shape.prompt_length, 3), shape.num_decoded, 1.0);
      const auto live = live_positions(result.trace, tiny.config.num_layers);
      REQUIRE_EQUAL(static_cast<int>(live.size()), shape.num_decoded + 1);
      const auto expected = tiny.forward(result.tokens, sees_of(live, shape.prompt_length));
      std::vector<float> actual;
      std::vector<double> wanted;
      for (size_t step = 0; step < result.logits.size(); ++step) {
        actual.insert(actual.end(), result.logits[step].begin(), result.logits[step].end());
        const auto& row = expected[static_cast<size_t>(shape.prompt_length) - 1 + step];
        wanted.insert(wanted.end(), row.begin(), row.end());
      }
      compare(policy + ", blocks of " + std::to_string(shape.block_size), actual.data(), wanted.data(),
              static_cast<int64_t>(actual.size()), 1e-5, 1e-3);

      // The same comparison must notice one evicted position that is seen after all.
      if (result.trace.evictions.step_index.empty()) continue;
      const int dropped = result.trace.evictions.positions.values.front();
      const auto wrong = tiny.forward(result.tokens, [&](int layer, int query, int key) {
        return sees_of(live, shape.prompt_length)(layer, query, key) || key == dropped;
      });
      const size_t last = wanted.size() - wrong.back().size();
      REQUIRE(difference(actual.data() + last, wrong.back().data(), static_cast<int64_t>(wrong.back().size()))
                  .relative_l2 > 1e-3);
    }
  }
}

TEST("paged-eviction keeps what its definition keeps, in a whole model in float64") {
  for (const Shape& shape : kShapes) {
    for (unsigned seed = 20; seed < 26; ++seed) {
      const TinyLlama tiny(seed);
      const Run result = run(tiny.open(), session_config("paged-eviction", shape.block_size, shape.budget),
                             some_tokens(shape.prompt_length, seed), shape.num_decoded, 1.0);
      const auto live = live_positions(result.trace, tiny.config.num_layers);
      std::vector<TinyLlama::Captured> captured;
      tiny.forward(result.tokens, sees_of(live, shape.prompt_length), &captured);
      // Not layer 0: there keys and values depend on the token alone, and equal tokens tie up to RoPE's
      // rounding.
      for (int layer = 1; layer < tiny.config.num_layers; ++layer) {
        const auto expected = oracle_kept(captured[static_cast<size_t>(layer)], tiny.config,
                                          static_cast<int>(result.tokens.size()), shape.prompt_length,
                                          shape.block_size, static_cast<int>(shape.budget));
        for (size_t step = 0; step < live.size(); ++step) {
          REQUIRE(live[step][static_cast<size_t>(layer)] == expected[step]);
        }
      }
    }
  }
}

TEST("for every policy: occupancy, protection, order, free blocks and evictions agree in every step") {
  for (const Shape& shape : kShapes) {
    const TinyLlama tiny(7);
    const auto model = tiny.open();
    for (const std::string& policy : native_policy_names()) {
      const SessionConfig config = session_config(policy, shape.block_size, shape.budget);
      const Run result = run(model, config, some_tokens(shape.prompt_length, 5), shape.num_decoded, 0.7);
      const TraceTables& trace = result.trace;
      const auto live = live_positions(trace, tiny.config.num_layers);
      const bool grows = policy == "snap-kv";  // in decode
      const bool evicts = policy != "full" && shape.prompt_length + (grows ? 0 : shape.num_decoded) >
                                                  shape.budget + (grows ? 0 : shape.block_size);
      REQUIRE_EQUAL(!trace.evictions.step_index.empty(), evicts);
      for (size_t row = 0; row < trace.memory.step_index.size(); ++row) {
        const int step = trace.memory.step_index[row];
        const auto& kept =
            live[static_cast<size_t>(step)][static_cast<size_t>(trace.memory.layer_index[row])];
        const int seen = shape.prompt_length + step;
        REQUIRE_EQUAL(trace.memory.live_tokens[row], static_cast<int>(kept.size()));
        REQUIRE_EQUAL(trace.memory.num_blocks[row] + trace.memory.num_free_blocks[row], config.num_blocks);
        const double live_share = static_cast<double>(kept.size()) / trace.memory.allocated_tokens[row];
        REQUIRE(std::fabs(trace.memory.fragmentation[row] - (1 - live_share)) < 1e-6);
        REQUIRE(kept.count(seen - 1) == 1);  // the token just fed
        for (int position = 0; position < std::min(shape.block_size, seen); ++position)
          REQUIRE(kept.count(position));
        if (policy == "full") {
          REQUIRE_EQUAL(static_cast<int>(kept.size()), seen);
          continue;
        }
        REQUIRE(static_cast<int64_t>(kept.size()) < shape.budget + (grows ? step + 1 : shape.block_size));
        if (seen >= shape.budget) REQUIRE(static_cast<int64_t>(kept.size()) >= shape.budget);
      }
      // Along each layer's table positions ascend, for blocks go whole.
      for (size_t row = 1; row < trace.blocks.step_index.size(); ++row) {
        if (trace.blocks.logical_index[row] == 0) continue;
        const auto& positions = trace.blocks.positions;
        REQUIRE(positions.values[static_cast<size_t>(positions.offsets[row]) - 1] <
                positions.values[static_cast<size_t>(positions.offsets[row])]);
      }
      // What a step's evictions drop is what was live before and is not after.
      const EvictionColumns& evictions = trace.evictions;
      for (size_t row = 0; row < evictions.step_index.size(); ++row) {
        REQUIRE_EQUAL(evictions.eviction_id[row], static_cast<int>(row));
        const auto step = static_cast<size_t>(evictions.step_index[row]);
        const auto layer = static_cast<size_t>(evictions.layer_index[row]);
        const bool in_prefill = step == 0;
        REQUIRE_EQUAL(static_cast<int>(evictions.phase[row]), in_prefill ? 0 : 1);
        REQUIRE_EQUAL(static_cast<int>(evictions.granularity[row]), in_prefill ? 0 : 1);
        REQUIRE_EQUAL(static_cast<int>(evictions.freed[row]), in_prefill ? 0 : 1);
        for (int i = evictions.positions.offsets[row]; i < evictions.positions.offsets[row + 1]; ++i) {
          const int position = evictions.positions.values[static_cast<size_t>(i)];
          REQUIRE(live[step][layer].count(position) == 0);
          if (!in_prefill) REQUIRE(live[step - 1][layer].count(position) == 1);
        }
        REQUIRE(!(evictions.runner_up_score[row] < evictions.score[row]));
      }
    }
  }
}

TEST("for every policy: a budget that is never reached changes no bit, and one seed gives one trace") {
  const TinyLlama tiny(8);
  const auto model = tiny.open();
  const std::vector<int32_t> prompt = some_tokens(30, 9);
  const Run full = run(model, session_config("full", 8, 0), prompt, 60, 0.9);
  for (const std::string& policy : native_policy_names()) {
    REQUIRE(run(model, session_config(policy, 8, 96), prompt, 60, 0.9).logits == full.logits);
    const SessionConfig config = session_config(policy, 8, 24);
    Run first = run(model, config, prompt, 60, 0.9);
    Run second = run(model, config, prompt, 60, 0.9);
    REQUIRE(first.logits == second.logits);
    REQUIRE(bytes_of(std::move(first.trace)) == bytes_of(std::move(second.trace)));
    SessionConfig other = config;
    other.seed = 78;
    REQUIRE(run(model, other, prompt, 60, 0.9).tokens != first.tokens);
  }
}

TEST("entropy and log-probabilities follow the logits") {
  const TinyLlama tiny(9);
  const Run result = run(tiny.open(), session_config("full", 8, 0), some_tokens(20, 1), 15, 0.8);
  for (size_t step = 0; step < result.logits.size(); ++step) {
    double sum = 0, entropy = 0;
    for (const float logit : result.logits[step]) sum += std::exp(static_cast<double>(logit));
    for (const float logit : result.logits[step])
      entropy -= std::exp(logit) / sum * std::log(std::exp(logit) / sum);
    REQUIRE(std::fabs(result.trace.steps.entropy[step] - entropy) < 1e-5);
    if (step + 1 == result.logits.size()) break;
    const auto token = static_cast<size_t>(result.trace.steps.token_id[step + 1]);
    const double logprob = std::log(std::exp(static_cast<double>(result.logits[step][token])) / sum);
    REQUIRE(std::fabs(result.trace.steps.token_logprob[step + 1] - logprob) < 1e-5);
  }
  REQUIRE(std::isnan(result.trace.steps.token_logprob[0]));
}
