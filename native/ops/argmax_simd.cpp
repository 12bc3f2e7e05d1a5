// The largest number first, then its first place.
#include "ops/argmax_simd.h"

#include "core/simd_vector.h"

namespace octavo::OCTAVO_SIMD {
namespace {

constexpr int kVectors = 4;  // in turn, so that no comparison waits for the one before it
constexpr int kAtOnce = kVectors * kLanes;

FirstLargest find(const float* numbers, int64_t count) {
  constexpr float kInfinity = __builtin_inff();
  if (count < 1) return {0, false};
  Vec largest[kVectors];
  IntVec is_finite[kVectors];
  for (int v = 0; v < kVectors; ++v) largest[v] = splat(-kInfinity), is_finite[v] = ~IntVec{};
  int64_t i = 0;
  for (; i + kAtOnce <= count; i += kAtOnce)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const Vec number = load(numbers + i + v * kLanes);
      largest[v] = number > largest[v] ? number : largest[v];
      is_finite[v] &= number - number == Vec{};  // NaN of what is not finite
    }
  float maximum = -kInfinity;
  bool all_finite = true;
  for (int v = 0; v < kVectors; ++v)
    for (int lane = 0; lane < kLanes; ++lane) {
      if (largest[v][lane] > maximum) maximum = largest[v][lane];
      all_finite = all_finite && is_finite[v][lane] != 0;
    }
  for (; i < count; ++i) {
    if (numbers[i] > maximum) maximum = numbers[i];
    all_finite = all_finite && numbers[i] - numbers[i] == 0;
  }
  if (!all_finite) return {0, false};

  int64_t index = 0;
  for (; index + kAtOnce <= count; index += kAtOnce) {
    IntVec is_here{};
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) is_here |= load(numbers + index + v * kLanes) == splat(maximum);
    int32_t any = 0;
    for (int lane = 0; lane < kLanes; ++lane) any |= is_here[lane];
    if (any) break;
  }
  while (numbers[index] != maximum) ++index;
  return {index, true};
}

}  // namespace

const ArgmaxKernels& argmax_kernels() {
  static constexpr ArgmaxKernels kernels = {find};
  return kernels;
}

}  // namespace octavo::OCTAVO_SIMD
