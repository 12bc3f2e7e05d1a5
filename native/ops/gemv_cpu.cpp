// The matrix-vector products of decoding, split over rows.
#include <algorithm>

#include "core/check.h"
#include "core/thread_pool.h"
#include "ops/gemm.h"
#include "ops/gemv_simd.h"

namespace octavo {

namespace {

// A range of rows starts at a multiple of this, so that whole groups of four are multiplied together.
constexpr int64_t kRowsPerUnit = 4;

template <typename Kernel>
Kernel of_dtype(DType dtype, Kernel f32, Kernel bf16, Kernel f16) {
  switch (dtype) {
    case DType::kF32:
      return f32;
    case DType::kBf16:
      return bf16;
    case DType::kF16:
      return f16;
    case DType::kI32:
      break;
  }
  throw Error("ERR_OCTAVO_DTYPE", "Expected f32, bf16 or f16 weights but received i32");
}

}  // namespace

void gemv_cpu(const float* input, const Tensor& weight, float* output) {
  const int64_t out = weight.shape[0], in = weight.shape[1];
  const GemvKernels& kernels = OCTAVO_PICK_SIMD(gemv_kernels);
  const auto multiply = of_dtype(weight.dtype, kernels.f32, kernels.bf16, kernels.f16);
  const int64_t units = (out + kRowsPerUnit - 1) / kRowsPerUnit;
  parallel_for_worthwhile(units, static_cast<double>(out) * in, [&](int64_t begin, int64_t end, int) {
    multiply(input, weight.data, in, begin * kRowsPerUnit, std::min(end * kRowsPerUnit, out), output);
  });
}

void gemv_many_cpu(const float* inputs, const Tensor& weight, int64_t num_inputs, float* outputs) {
  if (num_inputs == 1) return gemv_cpu(inputs, weight, outputs);
  const int64_t out = weight.shape[0], in = weight.shape[1];
  const GemvKernels& kernels = OCTAVO_PICK_SIMD(gemv_kernels);
  const auto multiply = of_dtype(weight.dtype, kernels.many_f32, kernels.many_bf16, kernels.many_f16);
  const int64_t units = (out + kRowsPerUnit - 1) / kRowsPerUnit;
  const double cost = static_cast<double>(num_inputs) * static_cast<double>(out) * static_cast<double>(in);
  parallel_for_worthwhile(units, cost, [&](int64_t begin, int64_t end, int) {
    multiply(inputs, num_inputs, weight.data, in, out, begin * kRowsPerUnit,
             std::min(end * kRowsPerUnit, out), outputs);
  });
}

}  // namespace octavo
