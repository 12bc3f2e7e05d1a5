// Sampling: ties, cuts, reproducibility, and frequencies that follow the probabilities.
#include <algorithm>
#include <array>
#include <map>

#include "helpers.h"
#include "ops/sampler.h"
#include "test.h"

using namespace octavo;
using namespace octavo::test;

namespace {

std::map<int32_t, int> draw(const std::vector<float>& logits, const Sampling& sampling, int count,
                            uint64_t seed = 5) {
  std::map<int32_t, int> counts;
  for (int step = 0; step < count; ++step)
    ++counts[sample_token(logits.data(), static_cast<int>(logits.size()), sampling, seed,
                          static_cast<uint32_t>(step))];
  return counts;
}

}  // namespace

TEST("greedy takes the largest logit, and the lowest id of a tie") {
  const std::vector<float> logits = {-1, 3, 2, 3, -5};
  REQUIRE_EQUAL(sample_token(logits.data(), 5, {}, 1, 1), 1);
  const std::vector<float> first = {7, 7, 7};
  REQUIRE_EQUAL(argmax_token(first.data(), 3), 0);
  const std::vector<float> with_holes = {-INFINITY, -3, -INFINITY};
  REQUIRE_EQUAL(argmax_token(with_holes.data(), 3), 1);
}

TEST("every place of a vocabulary can be the greedy choice, and what is not finite is seen in every place") {
  for_each_simd_level([](const std::string& level) {
    for (const int size : {1, 3, 15, 16, 17, 63, 64, 65, 200}) {
      for (int place = 0; place < size; ++place) {
        std::vector<float> logits = normal_floats(static_cast<size_t>(size), 9);
        const auto at = [&](int token) -> float& { return logits[static_cast<size_t>(token)]; };
        at(place) = 50;
        if (place + 1 < size) at(size - 1) = 50;  // a tie with a later one
        REQUIRE_EQUAL(level + std::to_string(argmax_token(logits.data(), size)),
                      level + std::to_string(place));
        for (const float infinite : {INFINITY, -INFINITY, NAN}) {
          at(place) = infinite;
          if (infinite == -INFINITY) {
            const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
            if (size > 1) REQUIRE_EQUAL(argmax_token(logits.data(), size), static_cast<int32_t>(best));
          } else {
            REQUIRE_ERROR("ERR_OCTAVO_NAN", argmax_token(logits.data(), size));
          }
        }
      }
    }
  });
  for (const std::vector<float>& logits : {std::vector<float>{-INFINITY, -INFINITY}, std::vector<float>{}})
    REQUIRE_ERROR("ERR_OCTAVO_NAN", argmax_token(logits.data(), static_cast<int>(logits.size())));
  const std::vector<float> zeros = {-1, -0.0f, 0.0f, -0.0f};
  REQUIRE_EQUAL(argmax_token(zeros.data(), 4), 1);
}

TEST("frequencies follow softmax(logits / temperature)") {
  const std::vector<float> logits = {0, 1, 2, -1};
  constexpr int kDraws = 40000;
  for (const double temperature : {0.5, 1.0, 2.0}) {
    double sum = 0;
    for (const float logit : logits) sum += std::exp(logit / temperature);
    const auto counts = draw(logits, {.temperature = temperature}, kDraws);
    for (int token = 0; token < 4; ++token) {
      const double p = std::exp(logits[static_cast<size_t>(token)] / temperature) / sum;
      const double found = counts.count(token) ? counts.at(token) / static_cast<double>(kDraws) : 0;
      REQUIRE(std::fabs(found - p) < 5 * std::sqrt(p * (1 - p) / kDraws) + 1e-9);
    }
  }
}

TEST("top-k keeps the k likeliest, ties to the lower id") {
  const std::vector<float> logits = {1, 2, 2, 2, 0};
  const auto counts = draw(logits, {.temperature = 1, .top_k = 2}, 2000);
  REQUIRE_EQUAL(counts.size(), size_t{2});
  REQUIRE(counts.count(1) && counts.count(2));
  REQUIRE_EQUAL(draw(logits, {.temperature = 1, .top_k = 99}, 5000).size(), size_t{5});
}

TEST("top-p keeps the smallest set that reaches the probability") {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.15f), std::log(0.05f)};
  const std::vector<std::pair<double, size_t>> cases = {{0.4, 1}, {0.6, 2}, {0.79, 2}, {0.9, 3}, {1.0, 4}};
  for (const auto& [top_p, kept] : cases)
    REQUIRE_EQUAL(draw(logits, {.temperature = 1, .top_p = top_p}, 4000).size(), kept);
  // Within the k likeliest: 0.5 and 0.3 make 62.5 % and 37.5 %.
  REQUIRE_EQUAL(draw(logits, {.temperature = 1, .top_k = 2, .top_p = 0.6}, 1000).size(), size_t{1});
}

TEST("the same seed and step draw the same; others differ") {
  const std::vector<float> logits = normal_floats(1000, 3);
  const Sampling sampling = {.temperature = 1.5};
  int same_seed = 0, other_seed = 0;
  for (uint32_t step = 0; step < 100; ++step) {
    const int32_t token = sample_token(logits.data(), 1000, sampling, 9, step);
    same_seed += token == sample_token(logits.data(), 1000, sampling, 9, step);
    other_seed += token == sample_token(logits.data(), 1000, sampling, 10, step);
  }
  REQUIRE_EQUAL(same_seed, 100);
  REQUIRE(other_seed < 20);
}

TEST("a tiny temperature and huge logits stay finite") {
  const std::vector<float> logits = {1e30f, -1e30f, 1e30f};
  for (const auto& [token, count] : draw(logits, {.temperature = 1e-6}, 100))
    REQUIRE(token != 1 && count > 0);
}

TEST("bad logits and bad options are refused") {
  for (const float bad : {NAN, INFINITY}) {
    const std::vector<float> logits = {1, bad, 2};
    REQUIRE_ERROR("ERR_OCTAVO_NAN", sample_token(logits.data(), 3, {}, 1, 1));
    REQUIRE_ERROR("ERR_OCTAVO_NAN", sample_token(logits.data(), 3, {.temperature = 1}, 1, 1));
  }
  const std::vector<float> none = {-INFINITY, -INFINITY};
  REQUIRE_ERROR("ERR_OCTAVO_NAN", sample_token(none.data(), 2, {}, 1, 1));
  for (const Sampling& bad :
       {Sampling{.temperature = -1}, Sampling{.temperature = NAN}, Sampling{.temperature = INFINITY},
        Sampling{.top_k = -1}, Sampling{.top_p = 0}, Sampling{.top_p = 1.1}, Sampling{.top_p = NAN}})
    REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", check_sampling(bad));
}
