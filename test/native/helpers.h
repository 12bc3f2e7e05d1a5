// Random inputs and a loop over this machine's instruction sets, for the tests of ops.
#pragma once

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "core/cpu_info.h"

namespace octavo::test {

inline std::vector<float> normal_floats(size_t count, uint32_t seed, float deviation = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

// Runs `body` with every instruction set of this machine in force.
inline void for_each_simd_level(const std::function<void(const std::string& name)>& body) {
  const SimdLevel before = simd_level();
  for (const SimdLevel level : {SimdLevel::kPortable, SimdLevel::kAvx2, SimdLevel::kAvx512}) {
    if (level > best_simd_level()) continue;
    set_simd_level(level);
    try {
      body(simd_level_name(level));
    } catch (...) {
      set_simd_level(before);
      throw;
    }
  }
  set_simd_level(before);
}

}  // namespace octavo::test
