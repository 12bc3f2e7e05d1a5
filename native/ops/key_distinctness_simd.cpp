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

inline double sum_of_squares(const float* key, int head_dim) {
  Eight sums{};
  int i = 0;
  for (; i + kEight <= head_dim; i += kEight) {
    const Eight numbers = widened(key + i);
    sums += numbers * numbers;
  }
  for (int j = 0; i < head_dim; ++i, ++j) sums[j] += static_cast<double>(key[i]) * key[i];
  return total(sums);
}

void add_directions(const KeyRows& rows, double smallest, double* anchor, double* inverse_lengths) {
  for (int64_t token = 0; token < rows.count; ++token) {
    const float* key = rows.keys[token * rows.stride];
    const double length = __builtin_sqrt(sum_of_squares(key, rows.head_dim));
    const double inverse = 1 / (length < smallest ? smallest : length);
    inverse_lengths[token] = inverse;
    int i = 0;
    for (; i + kEight <= rows.head_dim; i += kEight)
      *reinterpret_cast<LooseEight*>(anchor + i) = load_eight(anchor + i) + widened(key + i) * inverse;
    for (; i < rows.head_dim; ++i) anchor[i] += key[i] * inverse;
  }
}

void cosines(const KeyRows& rows, const double* anchor, const double* inverse_lengths, double factor,
             double* cosines) {
  for (int64_t token = 0; token < rows.count; ++token) {
    const float* key = rows.keys[token * rows.stride];
    Eight sums{};
    int i = 0;
    for (; i + kEight <= rows.head_dim; i += kEight) sums += widened(key + i) * load_eight(anchor + i);
    for (int j = 0; i < rows.head_dim; ++i, ++j) sums[j] += key[i] * anchor[i];
    cosines[token] = total(sums) * inverse_lengths[token] * factor;
  }
}

}  // namespace

const KeyDistinctnessKernels& key_distinctness_kernels() {
  static constexpr KeyDistinctnessKernels kernels = {add_directions, cosines};
  return kernels;
}

}  // namespace octavo::OCTAVO_SIMD
