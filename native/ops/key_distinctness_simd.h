// The two passes of key_distinctness.h over the keys of one head.
#pragma once

#include <cstdint>

#include "core/simd.h"

namespace octavo {

// The keys of one head: key i is at keys[i · stride], of head_dim numbers.
struct KeyRows {
  const float* const* keys;
  int64_t stride, count;
  int head_dim;
};

struct KeyDistinctnessKernels {
  // inverse_lengths[i] = 1 / max(‖key i‖, smallest); adds the keys, so scaled, to `anchor`.
  void (*add_directions)(const KeyRows& rows, float smallest, double* anchor, float* inverse_lengths);
  // cosines[i] = key i · direction · inverse_lengths[i]; the direction has length 1.
  void (*cosines)(const KeyRows& rows, const float* direction, const float* inverse_lengths, float* cosines);
};

OCTAVO_DECLARE_SIMD(KeyDistinctnessKernels, key_distinctness_kernels);

}  // namespace octavo
