// The inner loops of attention_mass.h; its softmax is that of softmax_simd.h.
#pragma once

#include <cstdint>

#include "core/simd.h"

namespace octavo {

struct AttentionMassKernels {
  // logits[i] = query · key i, for keys that lie `stride` numbers apart.
  void (*dots)(const float* query, const float* keys, int64_t stride, int64_t count, int head_dim,
               float* logits);
  // sums[i] += values[i] · factor.
  void (*add)(const float* values, int64_t count, double factor, double* sums);
  // sums[i] = the sum over rows of values[row · stride + i] · factors[row], in the order of rows.
  void (*weigh)(const float* values, int64_t stride, int64_t num_rows, int64_t count, const double* factors,
                double* sums);
  // sums[i] += the sum over rows of values[row · stride + i], in the order of rows, rounded once.
  void (*add_rows)(const double* values, int64_t stride, int64_t num_rows, int64_t count, float* sums);
};

OCTAVO_DECLARE_SIMD(AttentionMassKernels, attention_mass_kernels);

}  // namespace octavo
