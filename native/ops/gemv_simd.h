// Rows of a matrix-vector product, for each element type of the weights.
#pragma once

#include <cstdint>

#include "core/simd.h"

namespace octavo {

struct GemvKernels {
  // Rows [row_begin, row_end). A row's sum does not depend on the range it is computed in.
  using Rows = void (*)(const float* input,  // [in]
                        const void* weight,  // [out, in]
                        int64_t in, int64_t row_begin, int64_t row_end,
                        float* output);  // [out]
  Rows f32, bf16, f16;
  // The same rows for several inputs at once: the weights pass once, and each input's sums are bit-equal to
  // those of Rows.
  using RowsOfMany = void (*)(const float* inputs,  // [num_inputs, in]
                              int64_t num_inputs,
                              const void* weight,  // [out, in]
                              int64_t in, int64_t out, int64_t row_begin, int64_t row_end,
                              float* outputs);  // [num_inputs, out]
  RowsOfMany many_f32, many_bf16, many_f16;
  // Numbers as fp32.
  using Widen = void (*)(const void* from, int64_t count, float* to);
  Widen widen_bf16, widen_f16;
  // Numbers as bf16, rounded to nearest even; NaN stays NaN. The same bits as narrow_to_bf16.
  void (*narrow_bf16)(const float* from, int64_t count, uint16_t* to);
};

OCTAVO_DECLARE_SIMD(GemvKernels, gemv_kernels);

}  // namespace octavo
