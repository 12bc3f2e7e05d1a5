// See softmax_simd.h.
#include "ops/softmax_simd.h"

#include "core/simd_vector.h"

namespace octavo::OCTAVO_SIMD {
namespace {

// Numbers that are added in fp32 before they join the sum of the row in fp64.
constexpr int64_t kRun = 128;

float renew(float* logits, int64_t count, float scale, float maximum, double* sum_of_row) {
  int64_t i = 0;
  Vec largest = splat(maximum);
  for (; i + kLanes <= count; i += kLanes) {
    const Vec scaled = load(logits + i) * scale;
    store(logits + i, scaled);
    largest = scaled > largest ? scaled : largest;
  }
  float new_maximum = max_lane(largest);
  for (int64_t rest = i; rest < count; ++rest) {
    logits[rest] *= scale;
    new_maximum = logits[rest] > new_maximum ? logits[rest] : new_maximum;
  }
  double total = 0;
  for (i = 0; i + kLanes <= count;) {
    Vec run{};
    const int64_t left = count - i, run_end = i + (left < kRun ? left : kRun);
    for (; i + kLanes <= run_end; i += kLanes) {
      const Vec numerators = exponential_of_negative(load(logits + i) - new_maximum);
      store(logits + i, numerators);
      run += numerators;
    }
    total += sum(run);
  }
  if (i < count) {
    Vec last = splat(-__builtin_inff());
    for (int64_t lane = 0; i + lane < count; ++lane) last[lane] = logits[i + lane];
    last = exponential_of_negative(last - new_maximum);
    for (int64_t lane = 0; i + lane < count; ++lane) {
      logits[i + lane] = last[lane];
      total += last[lane];
    }
  }
  *sum_of_row = total;
  return new_maximum;
}

void multiply(float* values, int64_t count, float factor) {
  for (int64_t i = 0; i < count; ++i) values[i] *= factor;
}

}  // namespace

const SoftmaxKernels& softmax_kernels() {
  static constexpr SoftmaxKernels kernels = {renew, multiply};
  return kernels;
}

}  // namespace octavo::OCTAVO_SIMD
