// Six rows by a panel stay in registers over the whole depth: 24 accumulators of AVX-512's 32 registers, 12
// of 16 elsewhere.
#include "ops/panel_simd.h"

#include "core/simd_vector.h"

namespace octavo::OCTAVO_SIMD {
namespace {

constexpr int kRowsAtOnce = 6;
constexpr int kPanelVectors = OCTAVO_SIMD_BYTES == 64 ? 4 : 2;
constexpr int kPanelWidth = kPanelVectors * kLanes;

template <int kRows>
void multiply_rows(int64_t depth, const float* a, int64_t a_stride, const float* panel, bool accumulate,
                   float* c, int64_t c_stride) {
  Vec sums[kRows][kPanelVectors];
#pragma GCC unroll 6
  for (int row = 0; row < kRows; ++row)
#pragma GCC unroll 4
    for (int v = 0; v < kPanelVectors; ++v)
      sums[row][v] = accumulate ? load(c + row * c_stride + v * kLanes) : splat(0.0f);
  for (int64_t k = 0; k < depth; ++k) {
    const float* columns = panel + k * kPanelWidth;
    Vec b[kPanelVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kPanelVectors; ++v) b[v] = load(columns + v * kLanes);
#pragma GCC unroll 6
    for (int row = 0; row < kRows; ++row) {
      const Vec factor = splat(a[row * a_stride + k]);
#pragma GCC unroll 4
      for (int v = 0; v < kPanelVectors; ++v) sums[row][v] += factor * b[v];
    }
  }
#pragma GCC unroll 6
  for (int row = 0; row < kRows; ++row)
#pragma GCC unroll 4
    for (int v = 0; v < kPanelVectors; ++v) store(c + row * c_stride + v * kLanes, sums[row][v]);
}

void multiply(int64_t num_rows, int64_t depth, const float* a, int64_t a_stride, const float* panel,
              bool accumulate, float* c, int64_t c_stride) {
  int64_t row = 0;
  for (; row + kRowsAtOnce <= num_rows; row += kRowsAtOnce)
    multiply_rows<kRowsAtOnce>(depth, a + row * a_stride, a_stride, panel, accumulate, c + row * c_stride,
                               c_stride);
  const float* rest = a + row * a_stride;
  float* rest_c = c + row * c_stride;
  switch (num_rows - row) {
    case 5:
      return multiply_rows<5>(depth, rest, a_stride, panel, accumulate, rest_c, c_stride);
    case 4:
      return multiply_rows<4>(depth, rest, a_stride, panel, accumulate, rest_c, c_stride);
    case 3:
      return multiply_rows<3>(depth, rest, a_stride, panel, accumulate, rest_c, c_stride);
    case 2:
      return multiply_rows<2>(depth, rest, a_stride, panel, accumulate, rest_c, c_stride);
    case 1:
      return multiply_rows<1>(depth, rest, a_stride, panel, accumulate, rest_c, c_stride);
    default:
      return;
  }
}

void transpose(int64_t num_rows, int64_t depth, const float* rows, int64_t row_stride, float* panel) {
  // Sixteen columns of depth at a time: their lines of the panel stay in the first cache while all rows pass.
  constexpr int64_t kTile = 16;
  for (int64_t k0 = 0; k0 < depth; k0 += kTile) {
    const int64_t tile = depth - k0 < kTile ? depth - k0 : kTile;
    for (int64_t row = 0; row < num_rows; ++row)
      for (int64_t k = 0; k < tile; ++k)
        panel[(k0 + k) * kPanelWidth + row] = rows[row * row_stride + k0 + k];
    for (int64_t k = 0; k < tile; ++k)
      for (int64_t row = num_rows; row < kPanelWidth; ++row) panel[(k0 + k) * kPanelWidth + row] = 0.0f;
  }
}

}  // namespace

const PanelKernels& panel_kernels() {
  static constexpr PanelKernels kernels = {kPanelWidth, multiply, transpose};
  return kernels;
}

}  // namespace octavo::OCTAVO_SIMD
