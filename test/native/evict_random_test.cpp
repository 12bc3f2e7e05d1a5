// The control's choices: their distribution, and what they depend on.
#include <algorithm>
#include <map>
#include <set>

#include "evict/registry.h"
#include "test.h"

using namespace octavo;

namespace {

PolicyConfig random_config() {
  PolicyConfig config;
  config.name = "random";
  config.budget = 24;
  config.seed = 5;
  return config;
}

std::vector<int> kept_after(int length, const std::optional<Choice>& choice) {
  std::vector<int> kept;
  for (int i = 0; i < length; ++i) {
    if (!std::count(choice->dropped.begin(), choice->dropped.end(), i)) kept.push_back(i);
  }
  return kept;
}

}  // namespace

TEST("random choices are uniform over the unprotected, the same again for one key, and differ between keys") {
  const auto policy = make_policy(random_config(), 4);
  const auto draw = [&](const Policy& from, int layer, int64_t step) {
    return from
        .choose_block({.layer = layer, .step_index = step, .num_blocks = 7, .kv_len = 28, .scores = nullptr})
        ->dropped[0];
  };
  constexpr int kDraws = 20000, kNumCandidates = 5;
  std::map<int, int> counts;
  int num_same_layer = 0, num_same_seed = 0;
  PolicyConfig other = random_config();
  other.seed = 6;
  const auto other_policy = make_policy(other, 4);
  for (int step = 0; step < kDraws; ++step) {
    const int chosen = draw(*policy, 3, step);
    REQUIRE_EQUAL(draw(*policy, 3, step), chosen);
    ++counts[chosen];
    num_same_layer += draw(*policy, 4, step) == chosen ? 1 : 0;
    num_same_seed += draw(*other_policy, 3, step) == chosen ? 1 : 0;
  }
  double chi_squared = 0;
  for (int index = 1; index <= kNumCandidates; ++index) {
    const double expected = static_cast<double>(kDraws) / kNumCandidates;
    chi_squared += (counts[index] - expected) * (counts[index] - expected) / expected;
  }
  REQUIRE_EQUAL(static_cast<int>(counts.size()), kNumCandidates);
  REQUIRE(chi_squared < 18.5);  // 0.1 % with four degrees of freedom
  for (const int same : {num_same_layer, num_same_seed}) {
    REQUIRE(std::abs(same - kDraws / kNumCandidates) < 5 * std::sqrt(kDraws * 0.16));
  }

  std::set<std::vector<int>> kept;
  std::vector<int> survived(100, 0);
  for (int step = 0; step < 3000; ++step) {
    const auto choice = policy->choose_tokens(
        {.layer = 0, .step_index = step, .kv_head = {}, .num_tokens = 98, .scores = nullptr});
    REQUIRE_EQUAL(static_cast<int>(choice->dropped.size()), 98 - 24);
    kept.insert(kept_after(98, choice));
    for (const int token : kept_after(98, choice)) ++survived[static_cast<size_t>(token)];
  }
  for (const int token : {0, 3, 96, 97}) REQUIRE_EQUAL(survived[static_cast<size_t>(token)], 3000);
  const double chance = (24.0 - 6) / (98 - 6);
  for (int token = 4; token < 96; ++token) {
    REQUIRE(std::fabs(survived[static_cast<size_t>(token)] - 3000 * chance) < 5 * std::sqrt(3000 * chance));
  }
  REQUIRE(kept.size() > 2900);
}
