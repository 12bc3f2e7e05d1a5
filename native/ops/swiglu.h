// The gate of a SwiGLU feed-forward: gate · sigmoid(gate) · up.
#pragma once

#include <cstdint>

namespace octavo {

void swiglu_cpu(const float* up,  // [count]
                int64_t count,
                float* gate);  // [count], replaced by the product

}  // namespace octavo
