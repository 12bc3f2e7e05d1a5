// Products in bf16 by the CPU's own instructions, with fp32 sums: activations are rounded to bf16 first. Only
// where that is faster than widening the weights: with AMX, where oneDNN multiplies, and with AVX-512's bf16
// dot product on AMD, where we do (Intel's runs at half the speed of its fp32 products).
#pragma once

#include <cstdint>
#include <initializer_list>

#include "core/tensor.h"
#include "ops/gemm.h"

namespace octavo {

// Rows from which the rounded product is taken: below, reading the weights takes longer than multiplying, and
// fp32 costs nothing.
constexpr int64_t kMinRowsForBf16 = 16;

// Whether this machine multiplies bf16 faster than fp32.
bool has_fast_bf16_products();

// Of one input. Results do not depend on the number of threads. Throws ERR_OCTAVO_GEMM.
void gemm_bf16_cpu(const float* input,                     // [num_rows, in], rounded to nearest even
                   std::initializer_list<GemvPart> parts,  // weights [out, in]; bf16; outputs [num_rows, out]
                   int64_t num_rows);

// The two ways of it. Rounded rows have an even length: after an odd number of inputs comes a zero.
constexpr int64_t even(int64_t in) { return in + in % 2; }

bool has_bf16_matrix_instructions();                // AMX, and a build with oneDNN
void multiply_bf16_onednn(const uint16_t* rounded,  // [num_rows, even(in)]
                          const Tensor& weight,     // [out, in]; bf16
                          int64_t num_rows,
                          float* output);  // [num_rows, out]

bool has_bf16_dot_products();                                   // of AVX-512
void multiply_bf16_dots(const uint16_t* rounded,                // [num_rows, even(in)]
                        std::initializer_list<GemvPart> parts,  // as gemm_bf16_cpu
                        int64_t num_rows);

}  // namespace octavo
