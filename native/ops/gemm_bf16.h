// Products in bf16 by the CPU's matrix instructions, with fp32 sums: activations are rounded to bf16 first.
// Only where that is faster than widening the weights: with AMX, and with AVX-512's bf16 dot product on AMD
// (Intel's runs at half the speed of its fp32 products).
#pragma once

#include <cstdint>
#include <initializer_list>

#include "core/tensor.h"
#include "ops/gemm.h"

namespace octavo {

// Rows from which the rounded product is taken: below, reading the weights takes longer than multiplying, and
// fp32 costs nothing.
constexpr int64_t kMinRowsForBf16 = 16;

// Whether this machine has the instructions and oneDNN uses them.
bool has_fast_bf16_products();

// Of one input, which is rounded once. Results do not depend on the number of threads. Throws
// ERR_OCTAVO_GEMM.
void gemm_bf16_cpu(const float* input,                     // [num_rows, in], rounded to nearest even
                   std::initializer_list<GemvPart> parts,  // weights [out, in]; bf16; outputs [num_rows, out]
                   int64_t num_rows);

}  // namespace octavo
