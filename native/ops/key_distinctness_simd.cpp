// Eight partial sums on every machine, however wide its vectors, and products rounded before they are added
// (the build forbids fused ones here): every instruction set gives the same bits.
#include "ops/key_distinctness_simd.h"

#include "core/simd_vector.h"

namespace octavo::OCTAVO_SIMD {
namespace {

constexpr int kEight = 8;
using Eight __attribute__((vector_size(64))) = double;
using Four __attribute__((vector_size(32))) = double;
using LooseEight __attribute__((vector_size(64), aligned(8), may_alias)) = double;
using LooseEightFloats __attribute__((vector_size(32), aligned(4), may_alias)) = float;

inline Eight widened(const float* from) {
#if defined(__AVX512F__)
  return load_widened(from);  // one instruction, of which the compiler makes three
#else
  return __builtin_convertvector(*reinterpret_cast<const LooseEightFloats*>(from), Eight);
#endif
}

inline Eight load_eight(const double* from) { return *reinterpret_cast<const LooseEight*>(from); }

inline double total(const Eight& sums) {
  const Four four =
      __builtin_shufflevector(sums, sums, 0, 1, 2, 3) + __builtin_shufflevector(sums, sums, 4, 5, 6, 7);
  return (four[0] + four[1]) + (four[2] + four[3]);
}

// Keys that share a turn: their chains of additions, roots and divisions run side by side.
constexpr int kAtOnce = 4;

// A head dimension that the compiler knows keeps an anchor in registers; others are passed as an int.
template <int kValue>
struct Fixed {
  constexpr operator int() const { return kValue; }
};

// Products of keys with themselves, or with the anchor: what `factor(key, i)` gives for its elements from i
// on.
template <int kKeys, typename Dim, typename Factor, typename Rest>
inline void dots(const float* const* keys, Dim head_dim, double* products, Factor&& factor, Rest&& rest) {
  Eight sums[kKeys] = {};
  int i = 0;
  for (; i + kEight <= head_dim; i += kEight)
#pragma GCC unroll 4
    for (int k = 0; k < kKeys; ++k) {
      const Eight numbers = widened(keys[k] + i);
      sums[k] += numbers * factor(numbers, i);
    }
#pragma GCC unroll 4
  for (int k = 0; k < kKeys; ++k) {
    for (int j = 0; i + j < head_dim; ++j) sums[k][j] += keys[k][i + j] * rest(keys[k], i + j);
    products[k] = total(sums[k]);
  }
}

template <int kKeys, typename Dim>
inline void add_some(const float* const* keys, Dim head_dim, double smallest, double* anchor,
                     double* inverse_lengths) {
  double squares[kKeys];
  dots<kKeys>(
      keys, head_dim, squares, [](const Eight& numbers, int) { return numbers; },
      [](const float* key, int at) { return static_cast<double>(key[at]); });
#pragma GCC unroll 4
  for (int k = 0; k < kKeys; ++k) {
    const double length = __builtin_sqrt(squares[k]);
    inverse_lengths[k] = 1 / (length < smallest ? smallest : length);
  }
  int i = 0;
  for (; i + kEight <= head_dim; i += kEight) {
    Eight sum = load_eight(anchor + i);
#pragma GCC unroll 4
    for (int k = 0; k < kKeys; ++k) sum += widened(keys[k] + i) * inverse_lengths[k];
    *reinterpret_cast<LooseEight*>(anchor + i) = sum;
  }
  for (; i < head_dim; ++i)
    for (int k = 0; k < kKeys; ++k) anchor[i] += keys[k][i] * inverse_lengths[k];
}

template <int kKeys, typename Dim>
inline void some_cosines(const float* const* keys, Dim head_dim, const double* anchor,
                         const double* inverse_lengths, double factor, double* cosines) {
  double products[kKeys];
  dots<kKeys>(
      keys, head_dim, products, [&](const Eight&, int i) { return load_eight(anchor + i); },
      [&](const float*, int at) { return anchor[at]; });
  for (int k = 0; k < kKeys; ++k) cosines[k] = products[k] * inverse_lengths[k] * factor;
}

// Calls body(keys, token, number of them) for all keys, so many at once.
template <typename Body>
inline void for_keys(const KeyRows& rows, Body&& body) {
  int64_t token = 0;
  for (; token < rows.count;) {
    const bool are_many = token + kAtOnce <= rows.count;
    const float* keys[kAtOnce];
    for (int k = 0; k < (are_many ? kAtOnce : 1); ++k) keys[k] = rows.keys[(token + k) * rows.stride];
    if (are_many)
      body(keys, token, Fixed<kAtOnce>{});
    else
      body(keys, token, Fixed<1>{});
    token += are_many ? kAtOnce : 1;
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

void add_directions(const KeyRows& rows, double smallest, double* anchor, double* inverse_lengths) {
  with_dim(rows.head_dim, [&](auto head_dim) {
    for_keys(rows, [&](const float* const* keys, int64_t token, auto count) {
      add_some<count>(keys, head_dim, smallest, anchor, inverse_lengths + token);
    });
  });
}

void cosines(const KeyRows& rows, const double* anchor, const double* inverse_lengths, double factor,
             double* cosines) {
  with_dim(rows.head_dim, [&](auto head_dim) {
    for_keys(rows, [&](const float* const* keys, int64_t token, auto count) {
      some_cosines<count>(keys, head_dim, anchor, inverse_lengths + token, factor, cosines + token);
    });
  });
}

}  // namespace

const KeyDistinctnessKernels& key_distinctness_kernels() {
  static constexpr KeyDistinctnessKernels kernels = {add_directions, cosines};
  return kernels;
}

}  // namespace octavo::OCTAVO_SIMD
