// Rows of a weight matrix as fp32: in place when they are fp32 already, else widened into scratch memory.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace octavo {

// Throws ERR_OCTAVO_DTYPE for i32.
const float* widened_rows(const Tensor& weight,  // [out, in]
                          int64_t first_row, int64_t num_rows,
                          std::vector<float>& scratch);  // grown on demand; the result may point into it

}  // namespace octavo
