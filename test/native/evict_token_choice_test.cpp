// Which cached tokens policies drop in decode, against a sort of the unprotected ones, on random cases in any
// order of slots with ties and NaN.
#include <algorithm>
#include <limits>
#include <random>

#include "evict/registry.h"
#include "test.h"

using namespace octavo;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Rank {
  float score;
  int index;
  bool operator<(const Rank& other) const {
    return score < other.score || (score == other.score && index < other.index);
  }
};

// Scores with many ties and some NaN.
std::vector<float> tied_scores(std::mt19937& random, int64_t count) {
  std::vector<float> scores;
  for (int64_t i = 0; i < count; ++i) {
    scores.push_back(random() % 29 == 0 ? NAN : static_cast<float>(random() % 7) / 4.0F);
  }
  return scores;
}

float kept_score(float score) { return std::isnan(score) ? kInfinity : score; }

struct Case {
  int block_size;
  int64_t budget, length;
};

// Prompt lengths at, around and far from the budget.
Case random_case(std::mt19937& random) {
  const int sizes[] = {1, 2, 3, 4, 8, 16};
  Case chosen{};
  chosen.block_size = sizes[random() % 6];
  chosen.budget = int64_t{chosen.block_size} * (3 + static_cast<int64_t>(random() % 5));
  switch (random() % 6) {
    case 0:
      chosen.budget = int64_t{3} * chosen.block_size;
      chosen.length = chosen.budget + 1 + static_cast<int64_t>(random() % 40);
      break;
    case 1:
      chosen.length = chosen.budget;
      break;
    case 2:
      chosen.length = chosen.budget - 1;
      break;
    case 3:
      chosen.length = chosen.budget + 1;
      break;
    default:
      chosen.length = 1 + static_cast<int64_t>(random() % 200);
  }
  chosen.length = std::max<int64_t>(1, chosen.length);
  return chosen;
}

}  // namespace

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
