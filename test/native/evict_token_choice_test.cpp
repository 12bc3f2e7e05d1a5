// Which cached tokens policies drop in decode, against a sort of the unprotected ones, on random cases in any
// order of slots with ties and NaN.
#include <algorithm>
#include <limits>
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
      CacheView view{
          .layer = 1, .step_index = round, .kv_head = {}, .num_seen = 300, .positions = {}, .scores = {}};
      for (int position = 0; position < 300; ++position) view.positions.push_back(position);
      std::shuffle(view.positions.begin() + first, view.positions.end() - num_newest, random);
      view.positions.erase(view.positions.begin() + first, view.positions.end() - (num_live - first));
      std::shuffle(view.positions.begin(), view.positions.end(), random);
      view.scores = tied_scores(random, num_live);
      std::vector<Rank> ranks;
      for (size_t place = 0; place < view.positions.size(); ++place) {
        const int position = view.positions[place];
        if (position < first || position >= 300 - num_newest) continue;
        ranks.push_back(
            {streaming ? static_cast<float>(position) : kept_score(view.scores[place]), position});
      }
      std::sort(ranks.begin(), ranks.end());
      const auto num_dropped = static_cast<size_t>(num_live - budget);
      const auto choice = policy->choose_cached_tokens(view, num_live - budget);
      REQUIRE_EQUAL(choice.has_value(), ranks.size() >= num_dropped);
      num_refused += choice ? 0 : 1;
      if (!choice) continue;
      std::vector<int32_t> expected;
      for (size_t i = 0; i < num_dropped; ++i) expected.push_back(ranks[i].index);
      std::sort(expected.begin(), expected.end());
      REQUIRE(choice->dropped == expected);
      REQUIRE_EQUAL(choice->score, ranks[num_dropped - 1].score);
    }
  }
  REQUIRE(num_refused < 500);
}
