// Random cases and the order of scores for oracles of what policies choose; shares no code with the policies.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace octavo::test {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Ascending: what goes first stands first.
struct Rank {
  float score;
  int index;
  bool operator<(const Rank& other) const {
    return score < other.score || (score == other.score && index < other.index);
  }
};

// Scores with many ties and some NaN.
inline std::vector<float> tied_scores(std::mt19937& random, int64_t count) {
  std::vector<float> scores;
  for (int64_t i = 0; i < count; ++i) {
    scores.push_back(random() % 29 == 0 ? NAN : static_cast<float>(random() % 7) / 4.0F);
  }
  return scores;
}

// NaN is kept.
inline float kept_score(float score) { return std::isnan(score) ? kInfinity : score; }

struct RandomCase {
  int block_size;
  int64_t budget, length;
};

// Prompt lengths at, around and far from the budget.
inline RandomCase random_case(std::mt19937& random) {
  const int sizes[] = {1, 2, 3, 4, 8, 16};
  RandomCase chosen{};
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

}  // namespace octavo::test
