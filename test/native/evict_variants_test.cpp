// Variants of the policies in a whole model, against oracles in float64: PagedEviction's scores, candidates
// and tail protection from prompts shorter than the budget to ones that end in the middle of a block; H2O per
// visible query.
#include <algorithm>
#include <limits>
#include <set>

#include "policy_oracle.h"
#include "session_runs.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr int kVocab = 400;

// A run with tokens that are all different, so that none tie in layer 0, and when each position of a layer
// left: at the end of the prompt, or before that query attended.
struct Fed {
  TraceTables trace;
  std::map<std::pair<int, int>, int> gone_at;            // by layer and position
  std::map<std::pair<int, int>, std::set<int>> dropped;  // by step and layer
  std::vector<TinyLlama::Captured> captured;

  Fed(const TinyLlama& tiny, const SessionConfig& config, int prompt_length, int num_decoded) {
    std::vector<int32_t> tokens;
    for (int i = 0; i < prompt_length + num_decoded; ++i) tokens.push_back((i * 37 + 11) % kVocab);
    Session session(tiny.open(), config);
    session.prefill({tokens.begin(), tokens.begin() + prompt_length});
    AdvanceRequest request = steps(num_decoded + 1);
    request.forced_tokens = {tokens.begin() + prompt_length, tokens.end()};
    advance(session, request);
    trace = session.take_trace();
    const EvictionColumns& evictions = trace.evictions;
    for (size_t row = 0; row < evictions.step_index.size(); ++row)
      for (int i = evictions.positions.offsets[row]; i < evictions.positions.offsets[row + 1]; ++i) {
        const int step = evictions.step_index[row], layer = evictions.layer_index[row];
        const int position = evictions.positions.values[static_cast<size_t>(i)];
        gone_at[{layer, position}] = step == 0 ? prompt_length : prompt_length + step - 1;
        dropped[{step, layer}].insert(position);
      }
    tiny.forward(
        tokens,
        [&](int layer, int query, int key) {
          const auto found = gone_at.find({layer, key});
          return found == gone_at.end() || query < found->second;
        },
        &captured);
  }
};

double norm_at(const std::vector<double>& rows, size_t row, size_t dim) {
  double squares = 0;
  for (size_t i = 0; i < dim; ++i) squares += rows[row * dim + i] * rows[row * dim + i];
  return std::sqrt(squares);
}

double norm_score(TokenScore kind, const TinyLlama::Captured& captured, const LlamaConfig& config,
                  int token) {
  const auto dim = static_cast<size_t>(config.head_dim);
  double sum = 0, keys = 0, values = 0;
  for (int head = 0; head < config.num_kv_heads; ++head) {
    const auto row = static_cast<size_t>(token * config.num_kv_heads + head);
    const double key = norm_at(captured.key, row, dim), value = norm_at(captured.value, row, dim);
    keys += key / config.num_kv_heads;
    values += value / config.num_kv_heads;
    sum += (kind == TokenScore::kInverseKeyNorm ? 1 / key : value / key) / config.num_kv_heads;
  }
  switch (kind) {
    case TokenScore::kValueKeyRatioOfMeans:
      return values / keys;
    case TokenScore::kValueNorm:
      return values;
    case TokenScore::kKeyValueNormSum:
      return keys + values;
    default:
      return sum;
  }
}

}  // namespace

TEST("paged-eviction in every variant drops what its definition drops") {
  constexpr int kBlock = 4;
  const struct {
    int budget, prompt, decoded;
  } shapes[] = {{16, 7, 30},  {12, 12, 30}, {12, 13, 26}, {16, 16, 12},
                {16, 37, 30}, {24, 47, 30}, {16, 40, 17}};
  int num_prompts_cut = 0, num_blocks_dropped = 0, num_of_short_prompts = 0;
  for (const TokenScore kind :
       {TokenScore::kValueKeyRatio, TokenScore::kValueKeyRatioOfMeans, TokenScore::kValueNorm,
        TokenScore::kInverseKeyNorm, TokenScore::kKeyValueNormSum})
    for (const Candidates candidates : {Candidates::kGlobal, Candidates::kLocal})
      for (const TailProtect tail : {TailProtect::kPage, TailProtect::kPageAndRemainder})
        for (const auto& [budget, prompt, decoded] : shapes) {
          const TinyLlama tiny(static_cast<unsigned>(prompt), kVocab);
          SessionConfig config = session_config("paged-eviction", kBlock, budget);
          config.policy.score = kind;
          config.policy.candidates = candidates;
          config.policy.tail_protect = tail;
          const Fed fed(tiny, config, prompt, decoded);
          for (int layer = 0; layer < tiny.config.num_layers; ++layer) {
            const auto score = [&](int token) {
              return norm_score(kind, fed.captured[static_cast<size_t>(layer)], tiny.config, token);
            };
            const auto dropped_in = [&](int step) {
              const auto found = fed.dropped.find({step, layer});
              return found == fed.dropped.end() ? std::set<int>() : found->second;
            };
            std::vector<int> live = up_to(prompt);
            std::set<int> expected;
            const int remainder = prompt % kBlock;
            const bool with_remainder = tail == TailProtect::kPageAndRemainder;
            const int num_protected = with_remainder   ? kBlock + remainder
                                      : remainder == 0 ? kBlock
                                                       : remainder;
            const int num_kept = budget + (with_remainder ? remainder : 0);
            if (prompt > num_kept) {
              std::vector<std::pair<double, int>> ranks;
              for (int token = kBlock; token < prompt - num_protected; ++token)
                ranks.push_back({score(token), token});
              std::sort(ranks.begin(), ranks.end());
              for (int i = 0; i < prompt - num_kept; ++i)
                expected.insert(ranks[static_cast<size_t>(i)].second);
              ++num_prompts_cut;
            }
            REQUIRE(dropped_in(0) == expected);
            for (int step = 0; step <= decoded; ++step) {
              if (step > 0) {
                live.push_back(prompt + step - 1);
                expected.clear();
                if (live.size() % kBlock == 0 && live.size() > static_cast<size_t>(budget)) {
                  size_t end = live.size() / kBlock - 1;
                  if (candidates == Candidates::kLocal) end = std::min<size_t>(end, 4);
                  double lowest = std::numeric_limits<double>::infinity();
                  for (size_t block = 1; block < end; ++block) {
                    double sum = 0;
                    for (size_t i = 0; i < kBlock; ++i) sum += score(live[block * kBlock + i]);
                    if (sum >= lowest) continue;
                    lowest = sum;
                    expected = {live.begin() + static_cast<int64_t>(block) * kBlock,
                                live.begin() + static_cast<int64_t>(block + 1) * kBlock};
                  }
                  ++num_blocks_dropped;
                  // A prompt shorter than the budget is scored as well: its blocks may go, unlike in the
                  // published code.
                  if (prompt <= budget && *expected.rbegin() < prompt) ++num_of_short_prompts;
                }
                REQUIRE(dropped_in(step) == expected);
              }
              for (const int token : expected) live.erase(std::find(live.begin(), live.end(), token));
            }
          }
        }
  REQUIRE(num_prompts_cut > 100 && num_blocks_dropped > 1000 && num_of_short_prompts > 20);
}

TEST("h2o per visible query divides by the queries that could see a token, in the prompt and in decode") {
  constexpr int kBlock = 4, kBudget = 24, kPrompt = 43, kDecoded = 41;
  int num_unlike_the_sum = 0;
  for (unsigned seed = 70; seed < 73; ++seed) {
    const TinyLlama tiny(seed, kVocab);
    SessionConfig config = session_config("h2o", kBlock, kBudget);
    config.policy.normalised = true;
    const Fed fed(tiny, config, kPrompt, kDecoded);
    for (int index = 0; index < tiny.config.num_layers; ++index) {
      const LayerCase layer{fed.captured[static_cast<size_t>(index)], tiny.config, kPrompt};
      std::map<int, double> mass = layer.prompt_mass(kPrompt);
      std::vector<int> live = up_to(kPrompt);
      for (int step = 0; step <= kDecoded; ++step) {
        const int newest = kPrompt + step - 1;
        const auto lowest_of = [&](bool normalised) {
          // Before the step's own query has attended.
          const int num_queries = step == 0 ? kPrompt : newest;
          const auto score = [&](int token) {
            return mass[token] / (normalised ? std::max(1, num_queries - token) : 1);
          };
          std::set<int> lowest;
          if (step == 0) {
            std::vector<std::pair<double, int>> ranks;
            for (int token = kBlock; token < kPrompt - kBudget / 2; ++token)
              ranks.push_back({score(token), token});
            std::sort(ranks.begin(), ranks.end());
            for (size_t i = 0; i < static_cast<size_t>(kPrompt - kBudget); ++i)
              lowest.insert(ranks[i].second);
            return lowest;
          }
          double smallest = std::numeric_limits<double>::infinity();
          for (size_t block = 1; block < live.size() / kBlock - kBudget / kBlock / 2; ++block) {
            double sum = 0;
            for (size_t i = 0; i < kBlock; ++i) sum += score(live[block * kBlock + i]);
            if (sum >= smallest) continue;
            smallest = sum;
            lowest = {live.begin() + static_cast<int64_t>(block) * kBlock,
                      live.begin() + static_cast<int64_t>(block + 1) * kBlock};
          }
          return lowest;
        };
        if (step > 0) live.push_back(newest);
        const bool cuts = step == 0 || (live.size() % kBlock == 0 && live.size() > kBudget);
        const auto found = fed.dropped.find({step, index});
        REQUIRE_EQUAL(found != fed.dropped.end(), cuts);
        if (cuts) {
          REQUIRE(found->second == lowest_of(true));
          num_unlike_the_sum += lowest_of(true) != lowest_of(false);
          for (const int token : found->second) live.erase(std::find(live.begin(), live.end(), token));
        }
        if (step > 0)
          for (const auto& [key, share] : layer.attention(newest, live)) mass[key] += share;
      }
    }
  }
  std::printf("     %d choices unlike the sum's\n", num_unlike_the_sum);
  REQUIRE(num_unlike_the_sum > 9);
}
