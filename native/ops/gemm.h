// C = A·Bᵀ: activations times a weight matrix stored [out, in]. One row runs through our own matrix-vector
// product, which reads memory at full speed; more rows through oneDNN, or our own blocked product when that
// is not built in. f16 weights are widened and activations stay fp32, so prefill and decode agree to fp32
// rounding; so are bf16 weights, except in products of 16 rows and more on machines that multiply bf16
// faster (gemm_bf16.h): there activations are rounded to bf16, as other engines and GPUs do.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "core/tensor.h"

namespace octavo {

void gemm_cpu(const float* input,    // [num_rows, in]
              const Tensor& weight,  // [out, in]; f32, bf16 or f16
              int64_t num_rows,
              float* output);  // [num_rows, out]

// One row only; the same as gemm_cpu with num_rows = 1.
void gemv_cpu(const float* input,    // [in]
              const Tensor& weight,  // [out, in]; f32, bf16 or f16
              float* output);        // [out]

// Rows of separate sequences: each bit-equal to gemv_cpu of it alone, whatever stands beside it, and the
// weights are read once for all. Prompts take gemm_cpu, which is faster with many rows.
void gemv_many_cpu(const float* inputs,   // [num_inputs, in]
                   const Tensor& weight,  // [out, in]; f32, bf16 or f16
                   int64_t num_inputs,
                   float* outputs);  // [num_inputs, out]

// One of several products of the same input.
struct GemvPart {
  const Tensor* weight;  // [out, in]; f32, bf16 or f16
  float* output;         // [out], or [num_rows, out]
};

// Up to four at once: one fork and join, and no thread waits for another between them.
void gemv_cpu(const float* input, std::initializer_list<GemvPart> parts);
// The same bits as one after another.
void gemm_cpu(const float* input,  // [num_rows, in]
              std::initializer_list<GemvPart> parts, int64_t num_rows);

// The product that stands in where oneDNN is not built in; f32, bf16 and f16 weights.
void gemm_plain_cpu(const float* input,    // [num_rows, in]
                    const Tensor& weight,  // [out, in]
                    int64_t num_rows,
                    float* output);  // [num_rows, out]

}  // namespace octavo
