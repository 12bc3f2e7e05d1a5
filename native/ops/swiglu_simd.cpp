// See swiglu.h.
#include "ops/swiglu_simd.h"

#include "core/simd_vector.h"

namespace octavo::OCTAVO_SIMD {
namespace {

inline Vec gated(Vec gate, Vec up) { return gate / (1.0f + exponential(-gate)) * up; }

void gate_all(const float* up, int64_t count, float* gate) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(gate + i, gated(load(gate + i), load(up + i)));
  if (i == count) return;
  Vec last_gate{}, last_up{};
  for (int64_t lane = 0; i + lane < count; ++lane)
    last_gate[lane] = gate[i + lane], last_up[lane] = up[i + lane];
  const Vec result = gated(last_gate, last_up);
  for (int64_t lane = 0; i + lane < count; ++lane) gate[i + lane] = result[lane];
}

}  // namespace

const SwigluKernels& swiglu_kernels() {
  static constexpr SwigluKernels kernels = {gate_all};
  return kernels;
}

}  // namespace octavo::OCTAVO_SIMD
