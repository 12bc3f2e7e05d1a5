// The inner product of our matrix multiplication in bf16, by AVX-512's dot product of pairs with fp32 sums:
// a few rows of A times a narrow panel of B. Subnormal numbers count as zero there.
#pragma once

#include <cstdint>

#include "core/simd.h"

namespace octavo {

constexpr int kBf16PanelWidth = 64;  // columns of a panel

struct Bf16PanelKernels {
  // C = A·B, or C += A·B with `accumulate`. Null where the instruction set has no such dot product; where it
  // is not null, this processor may still lack it: has_bf16_dot_products() says.
  void (*multiply)(int64_t num_rows, int64_t num_pairs,
                   const uint16_t* a,  // [num_rows, num_pairs, 2], rows a_stride apart
                   int64_t a_stride,
                   const uint16_t* panel,  // [num_pairs, kBf16PanelWidth, 2]
                   bool accumulate,
                   float* c,  // [num_rows, kBf16PanelWidth], rows c_stride apart
                   int64_t c_stride);

  // Turns rows into a panel's columns: panel[k / 2][row][k % 2] = rows[row][k], 0 for columns from num_rows
  // on and for the second of a pair that only begins.
  void (*pack)(int64_t num_rows,  // at most kBf16PanelWidth
               int64_t depth,
               const uint16_t* rows,  // [num_rows, depth], rows row_stride apart
               int64_t row_stride,
               uint16_t* panel);  // [ceil(depth / 2), kBf16PanelWidth, 2]
};

OCTAVO_DECLARE_SIMD(Bf16PanelKernels, bf16_panel_kernels);

}  // namespace octavo
