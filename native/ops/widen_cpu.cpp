// See widen.h.
#include "core/check.h"
#include "ops/gemv_simd.h"
#include "ops/widen.h"

namespace octavo {

const float* widened_rows(const Tensor& weight, int64_t first_row, int64_t num_rows,
                          std::vector<float>& scratch) {
  const int64_t in = weight.shape[1], count = num_rows * in;
  if (weight.dtype == DType::kF32) return weight.f32() + first_row * in;
  if (weight.dtype == DType::kI32)
    throw Error("ERR_OCTAVO_DTYPE", "Expected f32, bf16 or f16 weights but received i32");
  if (scratch.size() < static_cast<size_t>(count)) scratch.resize(static_cast<size_t>(count));
  const GemvKernels& kernels = OCTAVO_PICK_SIMD(gemv_kernels);
  const uint16_t* from = static_cast<const uint16_t*>(weight.data) + first_row * in;
  (weight.dtype == DType::kBf16 ? kernels.widen_bf16 : kernels.widen_f16)(from, count, scratch.data());
  return scratch.data();
}

}  // namespace octavo
