// See swiglu.h.
#include <algorithm>

#include "core/thread_pool.h"
#include "ops/swiglu.h"
#include "ops/swiglu_simd.h"

namespace octavo {

void swiglu_cpu(const float* up, int64_t count, float* gate) {
  // Units of whole vectors, so that an element's bits do not depend on the split.
  constexpr int64_t kUnit = 64;
  const SwigluKernels& kernels = OCTAVO_PICK_SIMD(swiglu_kernels);
  parallel_for_worthwhile((count + kUnit - 1) / kUnit, static_cast<double>(count) * 8,
                          [&](int64_t begin, int64_t end, int) {
                            const int64_t from = begin * kUnit, to = std::min(end * kUnit, count);
                            kernels.gate(up + from, to - from, gate + from);
                          });
}

}  // namespace octavo
