// Square tiles turned over in registers, for *_simd.cpp files: kLanes vectors of kLanes 32-bit numbers. Rows
// are paired lane by lane, then by twos, then by quarters of a vector.
#pragma once

#include "core/simd_vector.h"

namespace octavo::OCTAVO_SIMD {
namespace {

#if defined(__AVX512F__)
inline void turn_over(UintVec* rows) {
  __m512i a[16], b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) a[i] = (__m512i)rows[i];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    b[i] = _mm512_shuffle_i32x4(a[i], a[i + 4], 0x88);
    b[i + 4] = _mm512_shuffle_i32x4(a[i], a[i + 4], 0xDD);
    b[i + 8] = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0x88);
    b[i + 12] = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0xDD);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    rows[i] = (UintVec)_mm512_shuffle_i32x4(b[i], b[i + 8], 0x88);
    rows[i + 4] = (UintVec)_mm512_shuffle_i32x4(b[i + 4], b[i + 12], 0x88);
    rows[i + 8] = (UintVec)_mm512_shuffle_i32x4(b[i], b[i + 8], 0xDD);
    rows[i + 12] = (UintVec)_mm512_shuffle_i32x4(b[i + 4], b[i + 12], 0xDD);
  }
}
#elif defined(__AVX2__)
inline void turn_over(UintVec* rows) {
  __m256i a[8], b[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) a[i] = (__m256i)rows[i];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_epi32(a[i], a[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    a[i] = _mm256_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm256_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm256_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm256_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    rows[i] = (UintVec)_mm256_permute2x128_si256(a[i], a[i + 4], 0x20);
    rows[i + 4] = (UintVec)_mm256_permute2x128_si256(a[i], a[i + 4], 0x31);
  }
}
#else
inline void turn_over(UintVec* rows) {
  for (int i = 0; i < kLanes; ++i)
    for (int j = 0; j < i; ++j) {
      const uint32_t number = rows[i][j];
      rows[i][j] = rows[j][i];
      rows[j][i] = number;
    }
}
#endif

}  // namespace
}  // namespace octavo::OCTAVO_SIMD
