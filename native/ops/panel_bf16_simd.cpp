// Six rows by a panel stay in registers over the whole depth: 24 accumulators of 32 registers. Columns are
// packed in square tiles of pairs, turned over in registers.
#include "ops/panel_bf16_simd.h"

#include "core/simd_transpose.h"

#if defined(__AVX512F__)
#pragma GCC push_options
#pragma GCC target("avx512bf16")

namespace octavo::OCTAVO_SIMD {
namespace {

constexpr int kRowsAtOnce = 6;
constexpr int kPanelVectors = kBf16PanelWidth / kLanes;
constexpr int64_t kPrefetchPairs = 64;  // four lines ahead: more rows than a core's prefetcher follows

inline __m512i load_pairs(const uint16_t* from) { return _mm512_loadu_si512(from); }

template <int kRows>
void multiply_rows(int64_t num_pairs, const uint16_t* a, int64_t a_stride, const uint16_t* panel,
                   bool accumulate, float* c, int64_t c_stride) {
  __m512 sums[kRows][kPanelVectors];
#pragma GCC unroll 6
  for (int row = 0; row < kRows; ++row)
#pragma GCC unroll 4
    for (int v = 0; v < kPanelVectors; ++v)
      sums[row][v] = accumulate ? _mm512_loadu_ps(c + row * c_stride + v * kLanes) : _mm512_setzero_ps();
  for (int64_t k = 0; k < num_pairs; ++k) {
    const uint16_t* const columns = panel + k * (2 * kBf16PanelWidth);
    __m512i b[kPanelVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kPanelVectors; ++v) b[v] = load_pairs(columns + v * (2 * kLanes));
#pragma GCC unroll 6
    for (int row = 0; row < kRows; ++row) {
      int32_t pair;
      __builtin_memcpy(&pair, a + row * a_stride + 2 * k, sizeof pair);
      const __m512i factor = _mm512_set1_epi32(pair);
#pragma GCC unroll 4
      for (int v = 0; v < kPanelVectors; ++v)
        sums[row][v] = _mm512_dpbf16_ps(sums[row][v], (__m512bh)b[v], (__m512bh)factor);
    }
  }
#pragma GCC unroll 6
  for (int row = 0; row < kRows; ++row)
#pragma GCC unroll 4
    for (int v = 0; v < kPanelVectors; ++v) _mm512_storeu_ps(c + row * c_stride + v * kLanes, sums[row][v]);
}

void multiply(int64_t num_rows, int64_t num_pairs, const uint16_t* a, int64_t a_stride, const uint16_t* panel,
              bool accumulate, float* c, int64_t c_stride) {
  int64_t row = 0;
  for (; row + kRowsAtOnce <= num_rows; row += kRowsAtOnce)
    multiply_rows<kRowsAtOnce>(num_pairs, a + row * a_stride, a_stride, panel, accumulate, c + row * c_stride,
                               c_stride);
  const uint16_t* rest = a + row * a_stride;
  float* rest_c = c + row * c_stride;
  switch (num_rows - row) {
    case 5:
      return multiply_rows<5>(num_pairs, rest, a_stride, panel, accumulate, rest_c, c_stride);
    case 4:
      return multiply_rows<4>(num_pairs, rest, a_stride, panel, accumulate, rest_c, c_stride);
    case 3:
      return multiply_rows<3>(num_pairs, rest, a_stride, panel, accumulate, rest_c, c_stride);
    case 2:
      return multiply_rows<2>(num_pairs, rest, a_stride, panel, accumulate, rest_c, c_stride);
    case 1:
      return multiply_rows<1>(num_pairs, rest, a_stride, panel, accumulate, rest_c, c_stride);
    default:
      return;
  }
}

// A square of pairs: a pair is a 32-bit number to it.
inline void pack_tile(const uint16_t* rows, int64_t row_stride, uint16_t* panel) {
  UintVec tile[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    tile[i] = (UintVec)load_pairs(rows + i * row_stride);
    __builtin_prefetch(rows + i * row_stride + 2 * kPrefetchPairs, 0, 3);
  }
  turn_over(tile);
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) _mm512_storeu_si512(panel + i * (2 * kBf16PanelWidth), (__m512i)tile[i]);
}

void pack(int64_t num_rows, int64_t depth, const uint16_t* rows, int64_t row_stride, uint16_t* panel) {
  const int64_t num_tiled_rows = num_rows / kLanes * kLanes;
  const int64_t tiled_depth = depth / (2 * kLanes) * (2 * kLanes);
  for (int64_t k = 0; k < tiled_depth; k += 2 * kLanes)
    for (int64_t row = 0; row < num_tiled_rows; row += kLanes)
      pack_tile(rows + row * row_stride + k, row_stride, panel + k * kBf16PanelWidth + 2 * row);
  for (int64_t k = 0; k < depth + depth % 2; ++k)
    for (int64_t row = k < tiled_depth ? num_tiled_rows : 0; row < kBf16PanelWidth; ++row)
      panel[(k / 2 * kBf16PanelWidth + row) * 2 + k % 2] =
          row < num_rows && k < depth ? rows[row * row_stride + k] : uint16_t{0};
}

}  // namespace

const Bf16PanelKernels& bf16_panel_kernels() {
  static constexpr Bf16PanelKernels kernels = {multiply, pack};
  return kernels;
}

}  // namespace octavo::OCTAVO_SIMD
#pragma GCC pop_options

#else

namespace octavo::OCTAVO_SIMD {

const Bf16PanelKernels& bf16_panel_kernels() {
  static constexpr Bf16PanelKernels kernels = {};
  return kernels;
}

}  // namespace octavo::OCTAVO_SIMD

#endif
