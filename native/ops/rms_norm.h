// Root-mean-square normalisation: output = input / sqrt(mean(input²) + epsilon) · weight. The mean is taken
// in double precision, so that all instruction sets agree.
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace octavo {

void rms_norm_cpu(const float* input,   // [num_rows, size]
                  const float* weight,  // [size]
                  int64_t num_rows, int size, double epsilon,
                  float* output);  // [num_rows, size]; may be `input`

}  // namespace octavo
