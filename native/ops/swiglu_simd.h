// Elements of a SwiGLU gate.
#pragma once

#include <cstdint>

#include "core/simd.h"

namespace octavo {

struct SwigluKernels {
  void (*gate)(const float* up, int64_t count, float* gate);
};

OCTAVO_DECLARE_SIMD(SwigluKernels, swiglu_kernels);

}  // namespace octavo
