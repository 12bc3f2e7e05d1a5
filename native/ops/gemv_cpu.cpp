// The matrix-vector product of decoding, split over rows.
#include <algorithm>

#include "core/check.h"
#include "core/thread_pool.h"
#include "ops/gemm.h"
#include "ops/gemv_simd.h"

namespace octavo {

namespace {

// A range of rows starts at a multiple of this, so that whole groups of four are multiplied together.
constexpr int64_t kRowsPerUnit = 4;

GemvKernels::Rows rows_kernel(DType dtype) {
  const GemvKernels& kernels = OCTAVO_PICK_SIMD(gemv_kernels);
  switch (dtype) {
    case DType::kF32:
      return kernels.f32;
    case DType::kBf16:
      return kernels.bf16;
    case DType::kF16:
      return kernels.f16;
    case DType::kI32:
      break;
  }
  throw Error("ERR_OCTAVO_DTYPE", "Expected f32, bf16 or f16 weights but received i32");
}

}  // namespace

void gemv_cpu(const float* input, const Tensor& weight, float* output) {
  const int64_t out = weight.shape[0], in = weight.shape[1];
  const GemvKernels::Rows multiply = rows_kernel(weight.dtype);
  const int64_t units = (out + kRowsPerUnit - 1) / kRowsPerUnit;
  parallel_for_worthwhile(units, static_cast<double>(out) * in, [&](int64_t begin, int64_t end, int) {
    multiply(input, weight.data, in, begin * kRowsPerUnit, std::min(end * kRowsPerUnit, out), output);
  });
}

}  // namespace octavo
