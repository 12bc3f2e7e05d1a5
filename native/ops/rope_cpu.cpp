// See rope.h.
#include <cmath>

#include "core/thread_pool.h"
#include "ops/rope.h"

namespace octavo {

std::vector<double> rope_frequencies(int head_dim, double theta, const RopeScaling* scaling) {
  constexpr double kTwoPi = 6.283185307179586;
  std::vector<double> frequencies(static_cast<size_t>(head_dim / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    double frequency = std::pow(theta, -2.0 * static_cast<double>(i) / head_dim);
    if (scaling) {
      // Long waves are stretched by the factor, short ones kept, and those between are mixed.
      const double wavelength = kTwoPi / frequency;
      const double original = static_cast<double>(scaling->original_max_positions);
      if (wavelength > original / scaling->low_freq_factor) {
        frequency /= scaling->factor;
      } else if (wavelength > original / scaling->high_freq_factor) {
        const double kept = (original / wavelength - scaling->low_freq_factor) /
                            (scaling->high_freq_factor - scaling->low_freq_factor);
        frequency = (1 - kept) * frequency / scaling->factor + kept * frequency;
      }
    }
    frequencies[i] = frequency;
  }
  return frequencies;
}

void rope_angles_cpu(const int64_t* positions, int64_t num_tokens, const std::vector<double>& frequencies,
                     float* cosines, float* sines) {
  const int64_t half = static_cast<int64_t>(frequencies.size());
  const double cost = static_cast<double>(num_tokens) * half * 64;
  parallel_for_worthwhile(num_tokens, cost, [&](int64_t begin, int64_t end, int) {
    for (int64_t token = begin; token < end; ++token)
      for (int64_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(positions[token]) * frequencies[static_cast<size_t>(i)];
        cosines[token * half + i] = static_cast<float>(std::cos(angle));
        sines[token * half + i] = static_cast<float>(std::sin(angle));
      }
  });
}

void rope_cpu(const float* cosines, const float* sines, int64_t num_tokens, int num_heads, int head_dim,
              float* heads) {
  const int64_t half = head_dim / 2;
  const double cost = static_cast<double>(num_tokens) * num_heads * head_dim * 2;
  parallel_for_worthwhile(num_tokens, cost, [&](int64_t begin, int64_t end, int) {
    for (int64_t token = begin; token < end; ++token) {
      const float* cosine = cosines + token * half;
      const float* sine = sines + token * half;
      for (int head = 0; head < num_heads; ++head) {
        float* first = heads + (token * num_heads + head) * head_dim;
        float* second = first + half;
        for (int64_t i = 0; i < half; ++i) {
          const float a = first[i], b = second[i];
          first[i] = a * cosine[i] - b * sine[i];
          second[i] = b * cosine[i] + a * sine[i];
        }
      }
    }
  });
}

}  // namespace octavo
