// Counter-based random numbers: a pure function of a key and a counter, so that a rewound step draws the same
// again and no generator state has to be saved. Philox4x32-10. Source: Salmon et al., SC 2011.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace octavo {

// What a draw is for; part of the counter, so that two uses of one seed never share numbers.
enum class RandomStream : uint32_t { kSampling = 1, kEviction = 2, kWeights = 3 };

// Four independent 32-bit words for one (key, counter).
inline std::array<uint32_t, 4> philox4x32(uint64_t key, std::array<uint32_t, 4> counter) {
  uint32_t key0 = static_cast<uint32_t>(key), key1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<uint32_t>(product0)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// One 64-bit word for (seed; stream, layer, step, index). Layers and indices count below 2^32, steps below
// 2^32.
inline uint64_t random_bits(uint64_t seed, RandomStream stream, uint32_t layer, uint32_t step,
                            uint32_t index) {
  const auto words = philox4x32(seed, {index, step, layer, static_cast<uint32_t>(stream)});
  return (uint64_t{words[1]} << 32) | words[0];
}

// Uniform in [0, 1), all 53 bits.
inline double random_uniform(uint64_t seed, RandomStream stream, uint32_t layer, uint32_t step,
                             uint32_t index) {
  return static_cast<double>(random_bits(seed, stream, layer, step, index) >> 11) * 0x1p-53;
}

// Two independent standard normal numbers from one counter (Box-Muller).
inline std::array<double, 2> random_normal_pair(uint64_t seed, RandomStream stream, uint32_t layer,
                                                uint32_t step, uint32_t index) {
  const auto words = philox4x32(seed, {index, step, layer, static_cast<uint32_t>(stream)});
  const double radius = std::sqrt(-2.0 * std::log((words[0] + 1.0) * 0x1p-32));  // never log(0)
  const double angle = 6.283185307179586 * (words[1] * 0x1p-32);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

}  // namespace octavo
