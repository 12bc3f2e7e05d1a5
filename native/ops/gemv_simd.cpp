// Four rows at a time, so that four streams of memory are under way, and the rows after them are prefetched:
// one stream read in order leaves half of the memory's speed unused.
#include "ops/gemv_simd.h"

#include "core/simd_vector.h"

namespace octavo::OCTAVO_SIMD {
namespace {

constexpr int kRowsAtOnce = 4;
constexpr int64_t kPrefetchBytes = 16384;  // about four rows; fits any first cache

template <int kRows, typename Element>
inline void multiply_rows(const float* input, const Element* weight, int64_t in, float* output) {
  constexpr int64_t kStep = 2 * kLanes;
  Vec even[kRows] = {}, odd[kRows] = {};
  int64_t i = 0;
  for (; i + kStep <= in; i += kStep) {
    const Vec input_even = load(input + i), input_odd = load(input + i + kLanes);
#pragma GCC unroll 4
    for (int row = 0; row < kRows; ++row) {
      const Element* element = weight + row * in + i;
      const char* ahead = reinterpret_cast<const char*>(element) + kPrefetchBytes;
      for (unsigned line = 0; line < kStep * sizeof(Element); line += 64)
        __builtin_prefetch(ahead + line, 0, 3);
      even[row] += load_widened_vec(element) * input_even;
      odd[row] += load_widened_vec(element + kLanes) * input_odd;
    }
  }
  for (; i + kLanes <= in; i += kLanes)
    for (int row = 0; row < kRows; ++row)
      even[row] += load_widened_vec(weight + row * in + i) * load(input + i);
  for (int row = 0; row < kRows; ++row) {
    float total = sum(even[row] + odd[row]);
    for (int64_t rest = i; rest < in; ++rest) total += widen(weight[row * in + rest]) * input[rest];
    output[row] = total;
  }
}

template <typename Element>
void multiply(const float* input, const void* weight, int64_t in, int64_t row_begin, int64_t row_end,
              float* output) {
  const Element* elements = static_cast<const Element*>(weight);
  int64_t row = row_begin;
  for (; row + kRowsAtOnce <= row_end; row += kRowsAtOnce)
    multiply_rows<kRowsAtOnce>(input, elements + row * in, in, output + row);
  for (; row < row_end; ++row) multiply_rows<1>(input, elements + row * in, in, output + row);
}

template <typename Element>
void widen_all(const void* from, int64_t count, float* to) {
  const Element* elements = static_cast<const Element*>(from);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, load_widened_vec(elements + i));
  for (; i < count; ++i) to[i] = widen(elements[i]);
}

inline UintVec narrow_to_bf16(UintVec bits) {
  const UintVec rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  const UintVec not_a_number = (UintVec)((bits & 0x7FFFFFFF) > 0x7F800000);
  return (rounded & ~not_a_number) | (((bits >> 16) | 0x40) & not_a_number);
}

void narrow_all(const float* from, int64_t count, uint16_t* to) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    *reinterpret_cast<LooseShortVec*>(to + i) =
        __builtin_convertvector(narrow_to_bf16((UintVec)load(from + i)), LooseShortVec);
  for (; i < count; ++i) {
    const UintVec bits = UintVec{} + __builtin_bit_cast(uint32_t, from[i]);
    to[i] = static_cast<uint16_t>(narrow_to_bf16(bits)[0]);
  }
}

}  // namespace

const GemvKernels& gemv_kernels() {
  static constexpr GemvKernels kernels = {multiply<float>, multiply<Bf16>, multiply<F16>,
                                          widen_all<Bf16>, widen_all<F16>, narrow_all};
  return kernels;
}

}  // namespace octavo::OCTAVO_SIMD
