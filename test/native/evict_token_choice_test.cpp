// Which cached tokens policies drop in decode, against a sort of the unprotected ones, on random cases in any
// order of slots with ties and NaN.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "choice_oracle.h"
#include "evict/registry.h"
#include "test.h"

using namespace octavo;
using namespace octavo::test;

TEST(
    "tokens that leave a cache equal the oracle's, 1,000 random cases in any order of slots, with ties and "
    "NaN") {
  std::mt19937 random(17);
  int num_refused = 0;
  for (int round = 0; round < 1000; ++round) {
    const auto [block_size, budget, ignored] = random_case(random);
    const char* names[] = {"streaming-llm", "inverse-key-norm", "key-diff", "tova", "h2o"};
    PolicyConfig config;
    config.name = names[random() % 5];
    config.budget = budget;
    config.unit = EvictionUnit::kToken;
    const bool streaming = config.name == "streaming-llm";
    int64_t first = block_size, num_newest = 1;
    if (streaming)
      first = *(config.num_sinks = static_cast<int64_t>(random() % 4) % (budget - block_size + 1));
    if (config.name == "h2o")
      num_newest = *(config.num_recent =
                         1 + static_cast<int64_t>(random() % static_cast<unsigned>(budget - block_size)));
    if (config.name == "tova" && !(config.protect_newest = random() % 2)) num_newest = 0;
    const auto policy = make_policy(config, block_size);
    for (const int64_t num_live : {budget - 1, budget, budget + 1, budget + 3}) {
      REQUIRE_EQUAL(policy->tokens_over_budget(num_live), std::max<int64_t>(0, num_live - budget));
      if (num_live <= budget) continue;
      std::vector<int32_t> positions(300);
      std::iota(positions.begin(), positions.end(), 0);
      std::shuffle(positions.begin() + first, positions.end() - num_newest, random);
      positions.erase(positions.begin() + first, positions.end() - (num_live - first));
      positions.insert(positions.end(), random() % 40, -1);  // holes
      std::shuffle(positions.begin(), positions.end(), random);
      const std::vector<float> scores = tied_scores(random, static_cast<int64_t>(positions.size()));
      CacheView view{.layer = 1,
                     .step_index = round,
                     .kv_head = {},
                     .num_seen = 300,
                     .positions = positions,
                     .scores = scores};
      std::vector<Rank> ranks;
      for (size_t place = 0; place < positions.size(); ++place) {
        const int position = positions[place];
        if (position < first || position >= 300 - num_newest) continue;
        ranks.push_back({streaming ? static_cast<float>(position) : kept_score(scores[place]), position});
      }
      std::sort(ranks.begin(), ranks.end());
      const auto num_dropped = static_cast<size_t>(num_live - budget);
      const auto choice = policy->choose_cached_tokens(view, num_live - budget);
      view.lists_candidates = false;
      const auto without_list = policy->choose_cached_tokens(view, num_live - budget);
      REQUIRE_EQUAL(choice.has_value(), ranks.size() >= num_dropped);
      REQUIRE_EQUAL(without_list.has_value(), choice.has_value());
      num_refused += choice ? 0 : 1;
      if (!choice) continue;
      std::vector<int32_t> expected;
      for (size_t i = 0; i < num_dropped; ++i) expected.push_back(ranks[i].index);
      std::sort(expected.begin(), expected.end());
      const float runner_up =
          ranks.size() == num_dropped ? std::numeric_limits<float>::quiet_NaN() : ranks[num_dropped].score;
      for (const auto& each : {choice, without_list}) {
        REQUIRE(each->dropped == expected);
        REQUIRE_EQUAL(each->score, ranks[num_dropped - 1].score);
        REQUIRE(each->runner_up_score == runner_up ||
                (std::isnan(runner_up) && std::isnan(each->runner_up_score)));
      }
      REQUIRE_EQUAL(choice->candidates.size(), ranks.size());
    }
  }
  REQUIRE(num_refused < 500);
}
