// fp32 numbers as the 16-bit words of a cache, and what these stand for.
#pragma once

#include <cstdint>
#include <vector>

#include "core/half.h"
#include "core/tensor.h"

namespace octavo::test {

// The words of the numbers, which are rounded to what the words stand for.
inline std::vector<uint16_t> narrow(std::vector<float>& numbers, DType dtype) {
  std::vector<uint16_t> words;
  for (float& number : numbers) {
    words.push_back(dtype == DType::kBf16 ? narrow_to_bf16(number) : narrow_to_f16(number));
    number = dtype == DType::kBf16 ? widen_bf16(words.back()) : widen_f16(words.back());
  }
  return words;
}

}  // namespace octavo::test
