// See sampler.h.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "core/check.h"
#include "core/random.h"
#include "ops/argmax_simd.h"
#include "ops/sampler.h"

namespace octavo {

void check_sampling(const Sampling& sampling) {
  if (!(sampling.temperature >= 0) || !std::isfinite(sampling.temperature))
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected a finite number of at least 0 for temperature but received " +
                    std::to_string(sampling.temperature));
  if (sampling.top_k < 0)
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected an integer of at least 0 for topK but received " + std::to_string(sampling.top_k));
  if (!(sampling.top_p > 0 && sampling.top_p <= 1))
    throw Error("ERR_OCTAVO_ARGUMENT", "Expected a number above 0 and at most 1 for topP but received " +
                                           std::to_string(sampling.top_p));
}

namespace {

// Of logits among which some are not finite, or there are none.
int32_t checked_argmax(const float* logits, int vocab_size) {
  int best = 0;
  for (int token = 0; token < vocab_size; ++token) {
    if (std::isnan(logits[token]) || logits[token] == INFINITY)
      throw Error("ERR_OCTAVO_NAN", "Expected finite logits but token " + std::to_string(token) + " has " +
                                        std::to_string(logits[token]));
    if (logits[token] > logits[best]) best = token;
  }
  if (vocab_size < 1 || logits[best] == -INFINITY)
    throw Error("ERR_OCTAVO_NAN",
                "Expected at least one logit above -infinity among " + std::to_string(vocab_size));
  return best;
}

}  // namespace

int32_t argmax_token(const float* logits, int vocab_size) {
  const FirstLargest largest = OCTAVO_PICK_SIMD(argmax_kernels).find(logits, vocab_size);
  return largest.all_finite ? static_cast<int32_t>(largest.index) : checked_argmax(logits, vocab_size);
}

int32_t sample_token(const float* logits, int vocab_size, const Sampling& sampling, uint64_t seed,
                     uint32_t step) {
  check_sampling(sampling);
  const int32_t best = argmax_token(logits, vocab_size);
  if (sampling.temperature == 0) return best;

  std::vector<double> weights(static_cast<size_t>(vocab_size));
  for (int token = 0; token < vocab_size; ++token)
    weights[static_cast<size_t>(token)] =
        std::exp((static_cast<double>(logits[token]) - logits[best]) / sampling.temperature);

  // Most likely first. Without a cut the order does not matter, so nothing is sorted.
  std::vector<int32_t> kept(static_cast<size_t>(vocab_size));
  std::iota(kept.begin(), kept.end(), 0);
  const bool cut_by_count = sampling.top_k > 0 && sampling.top_k < vocab_size;
  if (cut_by_count || sampling.top_p < 1) {
    const auto likelier = [&](int32_t a, int32_t b) {
      return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
    };
    const auto end = cut_by_count ? kept.begin() + sampling.top_k : kept.end();
    std::partial_sort(kept.begin(), end, kept.end(), likelier);
    kept.erase(end, kept.end());
  }
  double total = 0;
  for (const int32_t token : kept) total += weights[static_cast<size_t>(token)];
  if (sampling.top_p < 1) {
    double mass = 0;
    size_t count = 0;
    while (count < kept.size() && mass < sampling.top_p * total)
      mass += weights[static_cast<size_t>(kept[count++])];
    kept.resize(count);
    total = mass;
  }

  double left = random_uniform(seed, RandomStream::kSampling, 0, step, 0) * total;
  for (const int32_t token : kept) {
    left -= weights[static_cast<size_t>(token)];
    if (left < 0) return token;
  }
  return best;  // rounding used up the whole mass
}

}  // namespace octavo
