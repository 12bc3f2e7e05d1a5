// The running softmax of prefill attention, one row at a time.
#pragma once

#include <cstdint>

#include "core/simd.h"

namespace octavo {

struct SoftmaxKernels {
  // Scales the logits and turns them into exp(logit - maximum), where maximum is the larger of the row's and
  // the one passed in. Returns the new maximum; `sum` gets the sum of the results.
  float (*renew)(float* logits, int64_t count, float scale, float maximum, double* sum);
  void (*multiply)(float* values, int64_t count, float factor);
};

OCTAVO_DECLARE_SIMD(SoftmaxKernels, softmax_kernels);

}  // namespace octavo
