// Sixteen partial sums on every machine, however wide its vectors, and products rounded before they are added
// (the build forbids fused ones here): every instruction set gives the same bits. Products of two keys are
// summed in single precision, directions, of which there are as many as tokens, in double.
#include "ops/key_distinctness_simd.h"

#include "core/simd_vector.h"

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace octavo::OCTAVO_SIMD {
namespace {

constexpr int kEight = 8, kSixteen = 16;
using Eight __attribute__((vector_size(64))) = double;
using Sixteen __attribute__((vector_size(64))) = float;
using EightFloats __attribute__((vector_size(32))) = float;
using LooseEight __attribute__((vector_size(64), aligned(8), may_alias)) = double;
using LooseEightFloats __attribute__((vector_size(32), aligned(4), may_alias)) = float;
using LooseSixteen __attribute__((vector_size(64), aligned(4), may_alias)) = float;

inline Eight widened(const float* from) {
#if defined(__AVX512F__)
  return load_widened(from);  // one instruction, of which the compiler makes three
#else
  return __builtin_convertvector(*reinterpret_cast<const LooseEightFloats*>(from), Eight);
#endif
}

inline Sixteen load_sixteen(const float* from) { return *reinterpret_cast<const LooseSixteen*>(from); }

inline Vec4 folded(const Sixteen& sums) {
  const EightFloats eight = __builtin_shufflevector(sums, sums, 0, 1, 2, 3, 4, 5, 6, 7) +
                            __builtin_shufflevector(sums, sums, 8, 9, 10, 11, 12, 13, 14, 15);
  return __builtin_shufflevector(eight, eight, 0, 1, 2, 3) +
         __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
}

// Keys that share a turn: their chains of additions run side by side, their sums, roots and divisions as one.
constexpr int kAtOnce = 4;

inline Vec4 totals(const Sixteen (&sums)[kAtOnce]) {
  const Vec4 a = folded(sums[0]), b = folded(sums[1]), c = folded(sums[2]), d = folded(sums[3]);
  const Vec4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Vec4 cd = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

inline Vec4 roots(Vec4 squares) {
#if defined(__SSE__)
  return (Vec4)_mm_sqrt_ps((__m128)squares);
#else
  return Vec4{__builtin_sqrtf(squares[0]), __builtin_sqrtf(squares[1]), __builtin_sqrtf(squares[2]),
              __builtin_sqrtf(squares[3])};
#endif
}

// A head dimension that the compiler knows keeps an anchor in registers; others are passed as an int.
template <int kValue>
struct Fixed {
  constexpr operator int() const { return kValue; }
};

// Products of keys with themselves, or with a direction: what `factor(key, i)` gives for its elements from i
// on.
template <typename Dim, typename Factor, typename Rest>
inline Vec4 dots(const float* const* keys, Dim head_dim, Factor&& factor, Rest&& rest) {
  Sixteen sums[kAtOnce] = {};
  int i = 0;
  for (; i + kSixteen <= head_dim; i += kSixteen)
#pragma GCC unroll 4
    for (int k = 0; k < kAtOnce; ++k) {
      const Sixteen numbers = load_sixteen(keys[k] + i);
      sums[k] += numbers * factor(numbers, i);
    }
  for (int j = 0; i + j < head_dim; ++j)
#pragma GCC unroll 4
    for (int k = 0; k < kAtOnce; ++k) sums[k][j] += keys[k][i + j] * rest(keys[k], i + j);
  return totals(sums);
}

// Calls body(keys, token, number of them) for all keys, four at once; of the last ones the last stands for
// those that are missing.
template <typename Body>
inline void for_keys(const KeyRows& rows, Body&& body) {
  for (int64_t token = 0; token < rows.count; token += kAtOnce) {
    const int count = rows.count - token < kAtOnce ? static_cast<int>(rows.count - token) : kAtOnce;
    const float* keys[kAtOnce];
    for (int k = 0; k < kAtOnce; ++k)
      keys[k] = rows.keys[(token + (k < count ? k : count - 1)) * rows.stride];
    body(keys, token, count);
  }
}

// Calls body with a dimension that the compiler knows, where it is a usual one.
template <typename Body>
inline void with_dim(int head_dim, Body&& body) {
  if (head_dim == 64)
    body(Fixed<64>{});
  else if (head_dim == 128)
    body(Fixed<128>{});
  else
    body(head_dim);
}

// Keys whose lengths are known before they are added: no sum waits for a root.
constexpr int kChunk = 16;

template <typename Dim>
inline void add_chunk(const KeyRows& rows, int64_t first, int count, Dim head_dim, const float* scales,
                      double* anchor) {
  const float* keys[kChunk];
  for (int k = 0; k < count; ++k) keys[k] = rows.keys[(first + k) * rows.stride];
  int i = 0;
  for (; i + kEight <= head_dim; i += kEight) {
    Eight sum = *reinterpret_cast<const LooseEight*>(anchor + i);
    for (int k = 0; k < count; ++k) sum += widened(keys[k] + i) * static_cast<double>(scales[k]);
    *reinterpret_cast<LooseEight*>(anchor + i) = sum;
  }
  for (; i < head_dim; ++i)
    for (int k = 0; k < count; ++k) anchor[i] += keys[k][i] * static_cast<double>(scales[k]);
}

void add_directions(const KeyRows& rows, float smallest, double* anchor, float* inverse_lengths) {
  with_dim(rows.head_dim, [&](auto head_dim) {
    for (int64_t first = 0; first < rows.count; first += kChunk) {
      const int in_chunk = rows.count - first < kChunk ? static_cast<int>(rows.count - first) : kChunk;
      const KeyRows chunk{.keys = rows.keys + first * rows.stride,
                          .stride = rows.stride,
                          .count = in_chunk,
                          .head_dim = rows.head_dim};
      float* const inverse = inverse_lengths + first;
      for_keys(chunk, [&](const float* const* keys, int64_t token, int count) {
        const Vec4 squares = dots(
            keys, head_dim, [](const Sixteen& numbers, int) { return numbers; },
            [](const float* key, int at) { return key[at]; });
        const Vec4 lengths = roots(squares), least = Vec4{} + smallest;
        const Vec4 scales = 1 / (lengths < least ? least : lengths);
        for (int k = 0; k < count; ++k) inverse[token + k] = scales[k];
      });
      add_chunk(rows, first, in_chunk, head_dim, inverse, anchor);
    }
  });
}

void cosines(const KeyRows& rows, const float* direction, const float* inverse_lengths, float* cosines) {
  with_dim(rows.head_dim, [&](auto head_dim) {
    for_keys(rows, [&](const float* const* keys, int64_t token, int count) {
      const Vec4 products = dots(
          keys, head_dim, [&](const Sixteen&, int i) { return load_sixteen(direction + i); },
          [&](const float*, int at) { return direction[at]; });
      for (int k = 0; k < count; ++k) cosines[token + k] = products[k] * inverse_lengths[token + k];
    });
  });
}

}  // namespace

const KeyDistinctnessKernels& key_distinctness_kernels() {
  static constexpr KeyDistinctnessKernels kernels = {add_directions, cosines};
  return kernels;
}

}  // namespace octavo::OCTAVO_SIMD
