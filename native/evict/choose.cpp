// A partial selection is enough, because (score, index) orders candidates totally: no two compare equal.
#include "evict/choose.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "evict/lowest_score_simd.h"

namespace octavo {

namespace {

// The second lowest of some scores; +infinity, as NaN counts, where there are no two below it.
float second_lowest(const std::vector<float>& scores) {
  constexpr size_t kLanes = 16;  // without a branch: scores often fall all the way
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  float lowest[kLanes], second[kLanes];
  std::fill_n(lowest, kLanes, kInfinity);
  std::fill_n(second, kLanes, kInfinity);
  const auto take = [&](size_t lane, float score) {
    const float lower = score < lowest[lane] ? score : lowest[lane];
    const float higher = score < lowest[lane] ? lowest[lane] : score;
    second[lane] = higher < second[lane] ? higher : second[lane];
    lowest[lane] = lower;
  };
  size_t place = 0;
  for (; place + kLanes <= scores.size(); place += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) take(lane, scores[place + lane]);
  for (; place < scores.size(); ++place) take(0, scores[place]);
  for (size_t lane = 1; lane < kLanes; ++lane) {
    take(0, lowest[lane]);
    take(0, second[lane]);
  }
  return second[0];
}

// The places of the two candidates that go first, or of the only one.
template <typename GoesBefore>
std::vector<int32_t> first_two(const std::vector<float>& scores, GoesBefore&& goes_before) {
  const float second = second_lowest(scores);
  std::vector<int32_t> places;
  for (size_t place = 0; place < scores.size(); ++place)
    if (!(scores[place] > second)) places.push_back(static_cast<int32_t>(place));
  const auto end = places.begin() + static_cast<int64_t>(std::min<size_t>(2, places.size()));
  std::partial_sort(places.begin(), end, places.end(), goes_before);
  places.erase(end, places.end());
  return places;
}

// Without a list of candidates.
std::optional<Choice> choose_one_between(const CacheView& cache, int64_t begin, int64_t end) {
  LowestScore lowest;
  OCTAVO_PICK_SIMD(lowest_score_kernels)
      .find(cache.positions.data(), cache.scores.data(), static_cast<int64_t>(cache.positions.size()),
            static_cast<int32_t>(begin), static_cast<int32_t>(end), &lowest);
  if (lowest.num_candidates == 0) return std::nullopt;
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  return Choice{.dropped = {lowest.position},
                .score = lowest.score,
                .runner_up_score = lowest.num_candidates == 1 ? kNone : lowest.runner_up,
                .candidates = {},
                .candidate_scores = {}};
}

}  // namespace

int64_t require_budget(const PolicyConfig& config, int block_size) {
  const std::string expected = "Expected a multiple of blockSize (" + std::to_string(block_size) + ")";
  if (!config.budget) {
    throw Error("ERR_OCTAVO_BUDGET",
                expected + " for budget of policy " + config.name + " but received none");
  }
  const int64_t budget = *config.budget;
  if (budget % block_size != 0) {
    throw Error("ERR_OCTAVO_BUDGET", expected + " for budget but received " + std::to_string(budget));
  }
  if (budget < int64_t{3} * block_size) {
    throw Error("ERR_OCTAVO_BUDGET", "Expected at least three blocks (" + std::to_string(3 * block_size) +
                                         ") for budget but received " + std::to_string(budget));
  }
  return budget;
}

int64_t last_block_tokens(int64_t num_tokens, int block_size) {
  const int64_t remainder = num_tokens % block_size;
  return remainder == 0 ? block_size : remainder;
}

std::vector<int32_t> index_range(int64_t begin, int64_t end) {
  std::vector<int32_t> indices(static_cast<size_t>(std::max<int64_t>(0, end - begin)));
  std::iota(indices.begin(), indices.end(), static_cast<int32_t>(begin));
  return indices;
}

Choice choose_lowest(std::vector<int32_t> candidates, std::vector<float> scores, int64_t num_dropped) {
  const auto num_candidates = static_cast<int64_t>(candidates.size());
  if (num_dropped < 1 || num_dropped > num_candidates) {
    throw Error("ERR_OCTAVO_POLICY", "Expected 1 to " + std::to_string(num_candidates) +
                                         " candidates to drop but received " + std::to_string(num_dropped));
  }
  const auto key = [&](int32_t place) {
    const float score = scores[static_cast<size_t>(place)];
    return std::isnan(score) ? std::numeric_limits<float>::infinity() : score;
  };
  const auto goes_before = [&](int32_t a, int32_t b) {
    const float key_a = key(a);
    const float key_b = key(b);
    if (key_a != key_b) return key_a < key_b;
    return candidates[static_cast<size_t>(a)] < candidates[static_cast<size_t>(b)];
  };
  std::vector<int32_t> places;
  if (num_dropped == 1) {  // as decoding does: one pass
    places = first_two(scores, goes_before);
  } else {
    places = index_range(0, num_candidates);
  }
  const auto middle = places.begin() + num_dropped;
  if (num_dropped > 1) {
    std::nth_element(places.begin(), middle - 1, places.end(), goes_before);
    if (middle != places.end()) std::iter_swap(middle, std::min_element(middle, places.end(), goes_before));
  }

  Choice choice;
  choice.score = key(*(middle - 1));
  choice.runner_up_score = middle == places.end() ? std::numeric_limits<float>::quiet_NaN() : key(*middle);
  choice.dropped.reserve(static_cast<size_t>(num_dropped));
  for (auto place = places.begin(); place != middle; ++place) {
    choice.dropped.push_back(candidates[static_cast<size_t>(*place)]);
  }
  std::sort(choice.dropped.begin(), choice.dropped.end());
  choice.candidates = std::move(candidates);
  choice.candidate_scores = std::move(scores);
  return choice;
}

std::optional<Choice> choose_lowest_between(const CacheView& cache, int64_t begin, int64_t end,
                                            int64_t num_dropped) {
  if (num_dropped == 1 && !cache.lists_candidates) return choose_one_between(cache, begin, end);
  std::vector<int32_t> positions(cache.positions.begin(), cache.positions.end());
  std::vector<float> scores(cache.scores.begin(), cache.scores.end());
  size_t count = 0;
  for (size_t place = 0; place < positions.size(); ++place) {  // without a branch to mispredict
    const int32_t position = positions[place];
    positions[count] = position;
    scores[count] = scores[place];
    count += position >= begin && position < end ? 1 : 0;
  }
  if (num_dropped < 1 || static_cast<int64_t>(count) < num_dropped) return std::nullopt;
  positions.resize(count);
  scores.resize(count);
  return choose_lowest(std::move(positions), std::move(scores), num_dropped);
}

}  // namespace octavo
