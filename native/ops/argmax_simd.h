// The greedy choice over a vocabulary, which every step of decoding makes.
#pragma once

#include <cstdint>

#include "core/simd.h"

namespace octavo {

struct FirstLargest {
  int64_t index;    // of the first of the largest numbers, where all are finite
  bool all_finite;  // false also of no numbers
};

struct ArgmaxKernels {
  FirstLargest (*find)(const float* numbers, int64_t count);
};

OCTAVO_DECLARE_SIMD(ArgmaxKernels, argmax_kernels);

}  // namespace octavo
