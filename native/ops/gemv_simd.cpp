// One input: row after row in one stream of memory, which a core's own prefetcher follows best, with the
// lines far ahead asked for too. Many inputs: four rows at a time, so that a loaded input serves all of them.
#include "ops/gemv_simd.h"

#include "core/simd_vector.h"

namespace octavo::OCTAVO_SIMD {
namespace {

constexpr int64_t kPrefetchBytes = 8192;  // fits any first cache

// Some rows of the weights times some inputs. The order of a sum is the same for any kRows and kInputs: a
// sequence decodes to the same bits alone and beside others.
template <int kRows, int kInputs, bool kPrefetch, typename Element>
inline void multiply_rows(const float* inputs,    // [kInputs, in]
                          const Element* weight,  // [kRows, in]
                          int64_t in, int64_t out,
                          float* outputs) {  // [kInputs, out], the first kRows of each
  constexpr int64_t kStep = 2 * kLanes;
  Vec even[kInputs][kRows] = {}, odd[kInputs][kRows] = {};
  int64_t i = 0;
  for (; i + kStep <= in; i += kStep) {
#pragma GCC unroll 4
    for (int row = 0; row < kRows; ++row) {
      const Element* element = weight + row * in + i;
      if (kPrefetch) {
        const char* ahead = reinterpret_cast<const char*>(element) + kPrefetchBytes;
        for (unsigned line = 0; line < kStep * sizeof(Element); line += 64)
          __builtin_prefetch(ahead + line, 0, 3);
      }
      const Vec weight_even = load_widened_vec(element), weight_odd = load_widened_vec(element + kLanes);
#pragma GCC unroll 4
      for (int input = 0; input < kInputs; ++input) {
        even[input][row] += weight_even * load(inputs + input * in + i);
        odd[input][row] += weight_odd * load(inputs + input * in + i + kLanes);
      }
    }
  }
  for (; i + kLanes <= in; i += kLanes)
    for (int row = 0; row < kRows; ++row)
      for (int input = 0; input < kInputs; ++input)
        even[input][row] += load_widened_vec(weight + row * in + i) * load(inputs + input * in + i);
  for (int input = 0; input < kInputs; ++input)
    for (int row = 0; row < kRows; ++row) {
      float total = sum(even[input][row] + odd[input][row]);
      for (int64_t rest = i; rest < in; ++rest)
        total += widen(weight[row * in + rest]) * inputs[input * in + rest];
      outputs[input * out + row] = total;
    }
}

template <typename Element>
void multiply(const float* input, const void* weight, int64_t in, int64_t row_begin, int64_t row_end,
              float* output) {
  const Element* elements = static_cast<const Element*>(weight);
  for (int64_t row = row_begin; row < row_end; ++row)
    multiply_rows<1, 1, true>(input, elements + row * in, in, 0, output + row);
}

// One group of rows times all inputs, during which the rows stay in the first cache.
template <int kRows, typename Element>
inline void multiply_inputs(const float* inputs, int64_t num_inputs, const Element* rows, int64_t in,
                            int64_t out, float* outputs) {
  constexpr int kInputs = 3;
  int64_t input = 0;
  for (; input + kInputs <= num_inputs; input += kInputs) {
    const float* const group = inputs + input * in;
    if (input == 0)
      multiply_rows<kRows, kInputs, true>(group, rows, in, out, outputs);
    else
      multiply_rows<kRows, kInputs, false>(group, rows, in, out, outputs + input * out);
  }
  if (input + 2 == num_inputs)
    multiply_rows<kRows, 2, true>(inputs + input * in, rows, in, out, outputs + input * out);
  else if (input < num_inputs)
    multiply_rows<kRows, 1, true>(inputs + input * in, rows, in, out, outputs + input * out);
}

template <typename Element>
void multiply_many(const float* inputs, int64_t num_inputs, const void* weight, int64_t in, int64_t out,
                   int64_t row_begin, int64_t row_end, float* outputs) {
  constexpr int kRows = kLanes == 16 ? 4 : 1;  // sums that the registers hold for three inputs
  const Element* elements = static_cast<const Element*>(weight);
  int64_t row = row_begin;
  for (; row + kRows <= row_end; row += kRows)
    multiply_inputs<kRows>(inputs, num_inputs, elements + row * in, in, out, outputs + row);
  for (; row < row_end; ++row)
    multiply_inputs<1>(inputs, num_inputs, elements + row * in, in, out, outputs + row);
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
  static constexpr GemvKernels kernels = {multiply<float>,      multiply<Bf16>,      multiply<F16>,
                                          multiply_many<float>, multiply_many<Bf16>, multiply_many<F16>,
                                          widen_all<Bf16>,      widen_all<F16>,      narrow_all};
  return kernels;
}

}  // namespace octavo::OCTAVO_SIMD
