// The inner product of our matrix multiplication and of prefill attention: a few rows of A times a narrow
// panel of B whose rows lie one after another.
#pragma once

#include <cstdint>

#include "core/simd.h"

namespace octavo {

struct PanelKernels {
  int panel_width;  // columns of a panel; a multiple of a vector

  // C = A·B, or C += A·B with `accumulate`.
  void (*multiply)(int64_t num_rows, int64_t depth,
                   const float* a,  // [num_rows, depth], rows a_stride apart
                   int64_t a_stride,
                   const float* panel,  // [depth, panel_width]
                   bool accumulate,
                   float* c,  // [num_rows, panel_width], rows c_stride apart
                   int64_t c_stride);

  // Turns rows into a panel's columns: panel[k][row] = rows[row][k], 0 for columns from num_rows on.
  void (*transpose)(int64_t num_rows,  // at most panel_width
                    int64_t depth,
                    const float* rows,  // [num_rows, depth], rows row_stride apart
                    int64_t row_stride,
                    float* panel);  // [depth, panel_width]
};

OCTAVO_DECLARE_SIMD(PanelKernels, panel_kernels);

}  // namespace octavo
