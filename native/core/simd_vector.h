// Vectors for *_simd.cpp files, by the compiler's vector extension: the same source becomes AVX-512, AVX2 or
// the architecture's base vectors, depending on OCTAVO_SIMD_BYTES. Everything is static: no symbol leaves the
// file.
#pragma once

#include <cstdint>

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace octavo::OCTAVO_SIMD {
namespace {

constexpr int kLanes = OCTAVO_SIMD_BYTES / 4;        // fp32 numbers in a Vec
constexpr int kDoubleLanes = OCTAVO_SIMD_BYTES / 8;  // fp64 numbers in a DoubleVec

using Vec __attribute__((vector_size(OCTAVO_SIMD_BYTES))) = float;
using IntVec __attribute__((vector_size(OCTAVO_SIMD_BYTES))) = int32_t;
using UintVec __attribute__((vector_size(OCTAVO_SIMD_BYTES))) = uint32_t;
using DoubleVec __attribute__((vector_size(OCTAVO_SIMD_BYTES))) = double;
using Vec4 __attribute__((vector_size(16))) = float;

// The same with any alignment, for loads and stores.
using LooseVec __attribute__((vector_size(OCTAVO_SIMD_BYTES), aligned(4), may_alias)) = float;
using LooseDoubleVec __attribute__((vector_size(OCTAVO_SIMD_BYTES), aligned(8), may_alias)) = double;
using LooseHalfVec __attribute__((vector_size(OCTAVO_SIMD_BYTES / 2), aligned(4), may_alias)) = float;
using LooseShortVec __attribute__((vector_size(OCTAVO_SIMD_BYTES / 2), aligned(2), may_alias)) = uint16_t;
using LooseVec4 __attribute__((vector_size(16), aligned(4), may_alias)) = float;

inline Vec load(const float* from) { return *reinterpret_cast<const LooseVec*>(from); }
inline void store(float* to, Vec value) { *reinterpret_cast<LooseVec*>(to) = value; }
inline DoubleVec load(const double* from) { return *reinterpret_cast<const LooseDoubleVec*>(from); }
inline void store(double* to, DoubleVec value) { *reinterpret_cast<LooseDoubleVec*>(to) = value; }
inline void store4(float* to, Vec4 value) { *reinterpret_cast<LooseVec4*>(to) = value; }

inline Vec splat(float value) { return value - Vec{}; }
inline DoubleVec splat(double value) { return value - DoubleVec{}; }

// kDoubleLanes fp32 numbers, widened. By intrinsics: the compiler makes two halves and a join of
// __builtin_convertvector.
inline DoubleVec load_widened(const float* from) {
#if defined(__AVX512F__)
  return (DoubleVec)_mm512_cvtps_pd(_mm256_loadu_ps(from));
#elif defined(__AVX2__)
  return (DoubleVec)_mm256_cvtps_pd(_mm_loadu_ps(from));
#else
  return __builtin_convertvector(*reinterpret_cast<const LooseHalfVec*>(from), DoubleVec);
#endif
}

struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

inline float widen(float value) { return value; }
inline float widen(Bf16 value) { return __builtin_bit_cast(float, static_cast<uint32_t>(value.bits) << 16); }
inline float widen(F16 value) {
  const uint32_t magnitude = static_cast<uint32_t>(value.bits & 0x7FFF) << 13;
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000) << 16;
  // Exact for normal and subnormal numbers; infinity and NaN get the all-ones exponent.
  uint32_t bits = __builtin_bit_cast(uint32_t, __builtin_bit_cast(float, magnitude) * 0x1p112f);
  if ((value.bits & 0x7C00) == 0x7C00) bits = magnitude | 0x7F800000;
  return __builtin_bit_cast(float, bits | sign);
}

inline Vec load_widened_vec(const float* from) { return load(from); }
inline Vec load_widened_vec(const Bf16* from) {
  // The compiler makes two halves and a join of __builtin_convertvector, at half the speed of the one
  // instruction.
#if defined(__AVX512F__)
  return (Vec)((UintVec)_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)))
               << 16);
#elif defined(__AVX2__)
  return (Vec)((UintVec)_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))) << 16);
#else
  return (Vec)(__builtin_convertvector(*reinterpret_cast<const LooseShortVec*>(from), UintVec) << 16);
#endif
}
inline Vec load_widened_vec(const F16* from) {
#if defined(__AVX512F__)
  return (Vec)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__F16C__)
  return (Vec)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
  const UintVec half = __builtin_convertvector(*reinterpret_cast<const LooseShortVec*>(from), UintVec);
  const UintVec magnitude = (half & 0x7FFF) << 13;
  const UintVec scaled = (UintVec)((Vec)magnitude * 0x1p112f);
  const UintVec special = (UintVec)((half & 0x7C00) == 0x7C00);
  return (Vec)((scaled & ~special) | ((magnitude | 0x7F800000) & special) | ((half & 0x8000) << 16));
#endif
}

// Sums groups of lanes that are four apart.
inline Vec4 fold_to_four(Vec value) {
#if OCTAVO_SIMD_BYTES == 64
  using Vec8 __attribute__((vector_size(32))) = float;
  const Vec8 eight = __builtin_shufflevector(value, value, 0, 1, 2, 3, 4, 5, 6, 7) +
                     __builtin_shufflevector(value, value, 8, 9, 10, 11, 12, 13, 14, 15);
  return __builtin_shufflevector(eight, eight, 0, 1, 2, 3) +
         __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
#elif OCTAVO_SIMD_BYTES == 32
  return __builtin_shufflevector(value, value, 0, 1, 2, 3) +
         __builtin_shufflevector(value, value, 4, 5, 6, 7);
#else
  return value;
#endif
}

// The sums of four vectors, in their order: halves are paired inside groups of four lanes, which are folded
// last, so that one fold serves all four.
inline Vec4 sum_each(Vec first, Vec second, Vec third, Vec fourth) {
#if defined(__AVX512F__)
  const Vec ab = (Vec)_mm512_unpacklo_ps((__m512)first, (__m512)second) +
                 (Vec)_mm512_unpackhi_ps((__m512)first, (__m512)second);
  const Vec cd = (Vec)_mm512_unpacklo_ps((__m512)third, (__m512)fourth) +
                 (Vec)_mm512_unpackhi_ps((__m512)third, (__m512)fourth);
  return fold_to_four((Vec)_mm512_shuffle_ps((__m512)ab, (__m512)cd, 0x44) +
                      (Vec)_mm512_shuffle_ps((__m512)ab, (__m512)cd, 0xEE));
#elif defined(__AVX2__)
  const Vec ab = (Vec)_mm256_unpacklo_ps((__m256)first, (__m256)second) +
                 (Vec)_mm256_unpackhi_ps((__m256)first, (__m256)second);
  const Vec cd = (Vec)_mm256_unpacklo_ps((__m256)third, (__m256)fourth) +
                 (Vec)_mm256_unpackhi_ps((__m256)third, (__m256)fourth);
  return fold_to_four((Vec)_mm256_shuffle_ps((__m256)ab, (__m256)cd, 0x44) +
                      (Vec)_mm256_shuffle_ps((__m256)ab, (__m256)cd, 0xEE));
#else
  const Vec4 ab =
      __builtin_shufflevector(first, second, 0, 4, 1, 5) + __builtin_shufflevector(first, second, 2, 6, 3, 7);
  const Vec4 cd =
      __builtin_shufflevector(third, fourth, 0, 4, 1, 5) + __builtin_shufflevector(third, fourth, 2, 6, 3, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
#endif
}

inline float sum(Vec value) {
  const Vec4 four = fold_to_four(value);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

inline double sum(DoubleVec value) {
  double total = 0;
  for (int i = 0; i < kDoubleLanes; ++i) total += value[i];
  return total;
}

inline float max_lane(Vec value) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps((__m512)value);
#else
  float largest = value[0];
  for (int i = 1; i < kLanes; ++i) largest = value[i] > largest ? value[i] : largest;
  return largest;
#endif
}

constexpr float kLowestExponent = -87.33654f, kHighestExponent = 88.72283f;  // e^x is a normal number between

// e^r, where x = n·ln 2 + r with |r| <= ln 2 / 2. `shifted` gets n + 1.5·2^23: adding that rounds to the
// nearest integer, which its bits then show.
inline Vec exponential_fraction(Vec x, Vec& shifted) {
  shifted = x * 1.44269504f + 12582912.0f;
  const Vec n = shifted - 12582912.0f;
  const Vec r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  Vec p = splat(1.98412698e-4f);
  p = p * r + 1.38888889e-3f;
  p = p * r + 8.33333333e-3f;
  p = p * r + 4.16666667e-2f;
  p = p * r + 1.66666667e-1f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  return p * r + 1.0f;
}

// e^x with a relative error below 1.5e-7; 0 below -87.3, +infinity above 88.7, NaN for NaN.
inline Vec exponential(Vec x) {
  const Vec clamped_low = x < kLowestExponent ? splat(kLowestExponent) : x;
  const Vec clamped = clamped_low > kHighestExponent ? splat(kHighestExponent) : clamped_low;
  Vec shifted;
  const Vec p = exponential_fraction(clamped, shifted);
  // 2^n in two factors: n reaches 128, where one exponent field would overflow.
  const IntVec exponent = (IntVec)shifted - 0x4B400000;
  const IntVec half = exponent >> 1;
  const Vec scaled = p * (Vec)((half + 127) << 23) * (Vec)((exponent - half + 127) << 23);
  const Vec low_cut = x < kLowestExponent ? splat(0.0f) : scaled;
  const Vec high_cut = x > kHighestExponent ? splat(__builtin_inff()) : low_cut;
  return x == x ? high_cut : x;
}

// exponential() of x that are at most 0, or NaN, in fewer instructions: n is in [-126, 0], one exponent
// field, and NaN goes through by itself.
inline Vec exponential_of_negative(Vec x) {
  Vec shifted;
  const Vec p = exponential_fraction(x < kLowestExponent ? splat(kLowestExponent) : x, shifted);
  const Vec scaled = p * (Vec)(((IntVec)shifted - (0x4B400000 - 127)) << 23);
  return x < kLowestExponent ? splat(0.0f) : scaled;
}

}  // namespace
}  // namespace octavo::OCTAVO_SIMD
