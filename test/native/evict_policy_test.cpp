// Every policy's choices against oracles written from the definitions, which sort whole lists and share no
// code with the policies, on random cases with ties and NaN; and properties that hold for all policies.
#include <algorithm>
#include <limits>
#include <map>
#include <random>

#include "choice_oracle.h"
#include "evict/choose.h"
#include "evict/registry.h"
#include "evict/scope.h"
#include "test.h"

using namespace octavo;
using namespace octavo::test;

namespace {

// The tokens of a prompt that stay, in order: protect the first block and the tail, drop the lowest of the
// rest.
std::vector<int> oracle_kept_prompt(int64_t length, int64_t budget, int block_size, int64_t tail,
                                    int64_t num_kept, const std::vector<float>& scores) {
  std::vector<int> kept;
  if (length <= budget) {
    for (int i = 0; i < length; ++i) kept.push_back(i);
    return kept;
  }
  std::vector<Rank> ranks;
  for (int i = 0; i < length; ++i) {
    if (i >= block_size && i < length - tail) {
      ranks.push_back({kept_score(scores[static_cast<size_t>(i)]), i});
    } else {
      kept.push_back(i);
    }
  }
  std::sort(ranks.begin(), ranks.end());
  for (size_t i = static_cast<size_t>(length - num_kept); i < ranks.size(); ++i)
    kept.push_back(ranks[i].index);
  std::sort(kept.begin(), kept.end());
  return kept;
}

std::vector<int> kept_after(int64_t length, const std::optional<Choice>& choice) {
  std::vector<int> kept;
  for (int i = 0; i < length; ++i) {
    if (!choice || !std::count(choice->dropped.begin(), choice->dropped.end(), i)) kept.push_back(i);
  }
  return kept;
}

PolicyConfig config_of(const std::string& name, int64_t budget) {
  PolicyConfig config;
  config.name = name;
  if (name != "full") config.budget = budget;
  config.seed = 5;
  return config;
}

}  // namespace

TEST("prompt tokens that stay equal the oracle's, 1,000 random cases with ties and NaN") {
  std::mt19937 random(11);
  int num_cut = 0;
  for (int round = 0; round < 1000; ++round) {
    const auto [block_size, budget, length] = random_case(random);
    const std::vector<float> scores = tied_scores(random, length);
    const PromptView prompt{
        .layer = 0, .step_index = 0, .kv_head = {}, .num_tokens = length, .scores = scores.data()};
    const int64_t remainder = length % block_size;
    const int64_t page = remainder == 0 ? block_size : remainder;

    PolicyConfig config = config_of("paged-eviction", budget);
    auto policy = make_policy(config, block_size);
    REQUIRE(kept_after(length, policy->choose_tokens(prompt)) ==
            oracle_kept_prompt(length, budget, block_size, page, budget, scores));
    REQUIRE_EQUAL(policy->prompt_tokens_kept(length), std::min(length, budget));

    config.tail_protect = TailProtect::kPageAndRemainder;
    policy = make_policy(config, block_size);
    const int64_t num_kept = std::min(length, budget + remainder);
    REQUIRE(
        kept_after(length, policy->choose_tokens(prompt)) ==
        oracle_kept_prompt(length, budget + remainder, block_size, block_size + remainder, num_kept, scores));
    REQUIRE_EQUAL(policy->prompt_tokens_kept(length), num_kept);

    std::vector<int> window;
    for (int i = 0; i < length; ++i) {
      if (length <= budget || i < block_size || i >= length - (budget - block_size)) window.push_back(i);
    }
    policy = make_policy(config_of("streaming-llm", budget), block_size);
    REQUIRE(kept_after(length, policy->choose_tokens(prompt)) == window);

    for (const char* name : {"inverse-key-norm", "key-diff", "tova", "h2o", "snap-kv"}) {
      PolicyConfig scored = config_of(name, budget);
      int64_t tail = page;
      if (scored.name == "h2o") tail = budget / block_size / 2 * block_size;
      if (scored.name == "snap-kv") {
        scored.window = 1 + static_cast<int64_t>(random() % static_cast<unsigned>(budget - block_size));
        tail = std::max(page, *scored.window);
      }
      policy = make_policy(scored, block_size);
      REQUIRE(kept_after(length, policy->choose_tokens(prompt)) ==
              oracle_kept_prompt(length, budget, block_size, tail, budget, scores));
      REQUIRE_EQUAL(policy->prompt_tokens_kept(length), std::min(length, budget));
    }

    policy = make_policy(config_of("full", 0), block_size);
    REQUIRE(!policy->choose_tokens(prompt));
    num_cut += length > budget ? 1 : 0;
  }
  REQUIRE(num_cut > 300);
}

TEST(
    "a whole decode keeps what the oracle keeps, 1,000 random runs of prompts shorter and longer than the "
    "budget") {
  std::mt19937 random(12);
  int num_evictions = 0;
  for (int round = 0; round < 1000; ++round) {
    const auto [block_size, budget, length] = random_case(random);
    const bool local = random() % 2;
    const char* names[] = {"streaming-llm", "paged-eviction", "inverse-key-norm", "key-diff", "tova", "h2o"};
    const std::string name = names[random() % 6];
    const bool streaming = name == "streaming-llm";
    PolicyConfig config = config_of(name, budget);
    config.candidates = local ? Candidates::kLocal : Candidates::kGlobal;
    const auto policy = make_policy(config, block_size);

    // Both sides hold blocks as lists of token ids; a block's score is the mean of its tokens'.
    using Blocks = std::vector<std::vector<int>>;
    std::vector<float> scores;
    const auto append = [&](Blocks& blocks, int token) {
      if (blocks.empty() || blocks.back().size() == static_cast<size_t>(block_size)) blocks.push_back({});
      blocks.back().push_back(token);
    };
    const auto mean_score = [&](const std::vector<int>& block) {
      float sum = 0;
      for (const int token : block) sum += kept_score(scores[static_cast<size_t>(token)]);
      return sum / static_cast<float>(block.size());
    };
    Blocks driven, expected;
    int num_tokens = 0;
    for (; num_tokens < std::min(length, budget); ++num_tokens) {
      scores.push_back(tied_scores(random, 1).front());
      append(driven, num_tokens);
      append(expected, num_tokens);
    }
    for (int step = 0; step < 6 * block_size; ++step, ++num_tokens) {
      scores.push_back(tied_scores(random, 1).front());
      append(driven, num_tokens);
      append(expected, num_tokens);
      if (expected.back().size() < static_cast<size_t>(block_size)) continue;

      // What the session does.
      std::vector<float> block_scores;
      for (const auto& block : driven) block_scores.push_back(mean_score(block));
      const auto choice = policy->choose_block({.layer = 1,
                                                .step_index = step,
                                                .num_blocks = static_cast<int>(driven.size()),
                                                .kv_len = static_cast<int64_t>(driven.size()) * block_size,
                                                .scores = block_scores.data()});
      if (choice) {
        REQUIRE_EQUAL(static_cast<int>(choice->dropped.size()), 1);
        driven.erase(driven.begin() + choice->dropped[0]);
        ++num_evictions;
      }
      // What the definition says.
      if (static_cast<int64_t>(expected.size()) * block_size > budget) {
        size_t last = expected.size() - 2;
        if (local && name == "paged-eviction") last = std::min<size_t>(3, last);
        if (name == "h2o") last = expected.size() - 1 - static_cast<size_t>(budget / block_size / 2);
        size_t lowest = 1;
        for (size_t index = 2; index <= last && !streaming; ++index) {
          if (mean_score(expected[index]) < mean_score(expected[lowest])) lowest = index;
        }
        expected.erase(expected.begin() + static_cast<int64_t>(lowest));
      }
      REQUIRE(driven == expected);
      REQUIRE(static_cast<int64_t>(driven.size()) * block_size <= budget);
    }
  }
  REQUIRE(num_evictions > 2000);
}

TEST("a choice reports its candidates, scores and runner-up") {
  const float scores[] = {9, 3, NAN, 3, 2, 9};
  PolicyConfig config = config_of("paged-eviction", 12);
  const TableView table{.layer = 0, .step_index = 0, .num_blocks = 6, .kv_len = 24, .scores = scores};
  auto choice = make_policy(config, 4)->choose_block(table);
  REQUIRE(choice->dropped == std::vector<int32_t>{4});
  REQUIRE(choice->candidates == (std::vector<int32_t>{1, 2, 3, 4}));
  REQUIRE(choice->candidate_scores.size() == 4 && choice->candidate_scores[3] == 2);
  REQUIRE_EQUAL(choice->score, 2.0F);
  REQUIRE_EQUAL(choice->runner_up_score, 3.0F);
  config.candidates = Candidates::kLocal;
  choice = make_policy(config, 4)->choose_block(table);
  REQUIRE(choice->candidates == (std::vector<int32_t>{1, 2, 3}));
  REQUIRE(choice->dropped == std::vector<int32_t>{1});  // of two equal scores the older
  REQUIRE_EQUAL(choice->runner_up_score, 3.0F);
  REQUIRE(!make_policy(config_of("full", 0), 4)->choose_block(table));

  const Choice all = choose_lowest({4, 7}, {NAN, 1}, 2);
  REQUIRE(all.dropped == (std::vector<int32_t>{4, 7}));
  REQUIRE(std::isnan(all.runner_up_score) && all.score == kInfinity);
  REQUIRE_ERROR("ERR_OCTAVO_POLICY", choose_lowest({1}, {1}, 2));
  REQUIRE_ERROR("ERR_OCTAVO_POLICY", choose_lowest({1}, {1}, 0));
}

TEST("token scores follow their formulas, and a NaN is kept and counted") {
  std::mt19937 random(13);
  std::uniform_real_distribution<float> uniform(0.0F, 3.0F);
  constexpr int kTokens = 40, kHeads = 3;
  std::vector<float> key(kTokens * kHeads), value(kTokens * kHeads);
  for (float& norm : key) norm = uniform(random);
  for (float& norm : value) norm = uniform(random);
  key[0] = 0;                                       // divided by 1e-6
  key[7 * kHeads] = value[7 * kHeads] = kInfinity;  // a norm that overflowed
  const TokenNorms by_token{key.data(), value.data(), kTokens, kHeads, kHeads, 1};
  for (const TokenScore kind :
       {TokenScore::kValueKeyRatio, TokenScore::kValueKeyRatioOfMeans, TokenScore::kValueNorm,
        TokenScore::kInverseKeyNorm, TokenScore::kKeyValueNormSum}) {
    PolicyConfig config = config_of("paged-eviction", 12);
    config.score = kind;
    const TokenScores scores = make_policy(config, 4)->score_tokens(by_token);
    const bool divides_infinities =
        kind == TokenScore::kValueKeyRatio || kind == TokenScore::kValueKeyRatioOfMeans;
    REQUIRE_EQUAL(scores.num_nan, divides_infinities ? 1 : 0);
    for (int token = 0; token < kTokens; ++token) {
      double ratio = 0, inverse = 0, keys = 0, values = 0;
      for (int head = 0; head < kHeads; ++head) {
        const double k = key[static_cast<size_t>(token * kHeads + head)];
        const double v = value[static_cast<size_t>(token * kHeads + head)];
        ratio += v / std::max(k, 1e-6) / kHeads;
        inverse += 1 / std::max(k, 1e-6) / kHeads;
        keys += k / kHeads;
        values += v / kHeads;
      }
      const std::map<TokenScore, double> expected = {
          {TokenScore::kValueKeyRatio, ratio},
          {TokenScore::kValueKeyRatioOfMeans, values / std::max(keys, 1e-6)},
          {TokenScore::kValueNorm, values},
          {TokenScore::kInverseKeyNorm, inverse},
          {TokenScore::kKeyValueNormSum, keys + values}};
      const double want = expected.at(kind);
      const float got = scores.values[static_cast<size_t>(token)];
      if (std::isfinite(want)) {
        REQUIRE(std::fabs(got - want) <= 1e-5 * std::fabs(want));
      } else {
        REQUIRE_EQUAL(got, kInfinity);
      }
    }
    // The same norms laid out by head, as a cached block has them.
    std::vector<float> key_by_head(key.size()), value_by_head(value.size());
    for (int token = 0; token < kTokens; ++token) {
      for (int head = 0; head < kHeads; ++head) {
        key_by_head[static_cast<size_t>(head * kTokens + token)] =
            key[static_cast<size_t>(token * kHeads + head)];
        value_by_head[static_cast<size_t>(head * kTokens + token)] =
            value[static_cast<size_t>(token * kHeads + head)];
      }
    }
    const TokenScores again = make_policy(config, 4)->score_tokens(
        {key_by_head.data(), value_by_head.data(), kTokens, kHeads, 1, kTokens});
    REQUIRE(again.values == scores.values);
  }
}

TEST("for every policy: budgets are checked, and nothing protected goes") {
  std::mt19937 random(14);
  REQUIRE_EQUAL(static_cast<int>(policy_names().size()), 10);
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", make_policy(config_of("paged-evicton", 64), 16));
  for (const std::string& name : policy_names()) {
    if (name == "full") {
      PolicyConfig config = config_of(name, 0);
      config.budget = 64;
      REQUIRE_ERROR("ERR_OCTAVO_BUDGET", make_policy(config, 16));
      continue;
    }
    PolicyConfig none = config_of(name, 0);
    none.budget.reset();
    REQUIRE_ERROR("ERR_OCTAVO_BUDGET", make_policy(none, 16));
    for (const int64_t budget : {-48, 0, 16, 32, 47, 49, 100}) {
      REQUIRE_ERROR("ERR_OCTAVO_BUDGET", make_policy(config_of(name, budget), 16));
    }
    for (int round = 0; round < 500; ++round) {
      const auto [block_size, budget, length] = random_case(random);
      const auto policy = make_policy(config_of(name, budget), block_size);
      const std::vector<float> scores = tied_scores(random, std::max<int64_t>(length, budget + 1));
      const auto choice = policy->choose_tokens(
          {.layer = 0, .step_index = round, .kv_head = {}, .num_tokens = length, .scores = scores.data()});
      REQUIRE_EQUAL(choice.has_value(), length > budget && name != "custom");
      if (choice) {
        REQUIRE_EQUAL(static_cast<int64_t>(choice->dropped.size()), length - budget);
        REQUIRE(std::is_sorted(choice->dropped.begin(), choice->dropped.end()));
        REQUIRE(choice->dropped.front() >= block_size);
        const int64_t remainder = length % block_size;
        REQUIRE(choice->dropped.back() < length - (remainder == 0 ? block_size : remainder));
      }
      const int num_blocks = static_cast<int>(budget / block_size) + 1;
      TableView table{.layer = 0,
                      .step_index = round,
                      .num_blocks = num_blocks,
                      .kv_len = budget + block_size,
                      .scores = scores.data()};
      const auto block = policy->choose_block(table);
      if (name == "snap-kv") {  // cuts the prompt only
        REQUIRE(!block);
        continue;
      }
      REQUIRE(block && block->dropped.front() >= 1 && block->dropped.front() < num_blocks - 1);
      table.num_blocks -= 1;
      table.kv_len = budget;
      REQUIRE(!policy->choose_block(table));
    }
  }
}

TEST("a mean of ranks gives equal scores one rank, the mean of their places, and NaN the highest") {
  const std::vector<std::vector<float>> scores = {{2, 1, 2, 2, NAN}, {0, 5, 9, 5, 9}};
  const std::vector<float> expected = {(2 + 0) / 2.0F, (0 + 1.5F) / 2, (2 + 3.5F) / 2, (2 + 1.5F) / 2,
                                       (4 + 3.5F) / 2};
  REQUIRE(reduce_scores(SharedBy::kMeanRank, scores) == expected);
}

TEST("snap-kv looks at the last 32 queries, or at half of a budget below 64, unless told otherwise") {
  const auto window_of = [](int64_t budget, std::optional<int64_t> window) {
    PolicyConfig config = config_of("snap-kv", budget);
    config.window = window;
    return make_policy(config, 8)->num_prompt_queries(1000);
  };
  REQUIRE_EQUAL(window_of(256, {}), int64_t{32});
  REQUIRE_EQUAL(window_of(64, {}), int64_t{32});
  REQUIRE_EQUAL(window_of(40, {}), int64_t{20});
  REQUIRE_EQUAL(window_of(256, 5), int64_t{5});
}
