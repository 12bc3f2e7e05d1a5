// The matrix-vector product of decoding. Threads take chunks of rows: a thread that the system holds up, or
// whose memory is slower, leaves the rest to the others.
#include <algorithm>

#include "core/check.h"
#include "core/thread_pool.h"
#include "ops/gemm.h"
#include "ops/gemv_simd.h"

namespace octavo {

namespace {

// A chunk is large enough to stream from memory and to hide its claim, small enough to be waited for.
constexpr int64_t kChunkBytes = 65536;
constexpr int64_t kRowsPerUnit = 4;  // of many inputs, whole groups of four rows are multiplied together
constexpr size_t kMaxParts = 4;

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
  gemv_cpu(input, {{&weight, output}});
}

void gemv_cpu(const float* input, std::initializer_list<GemvPart> parts) {
  struct Part {
    GemvKernels::Rows multiply;
    int64_t in, out, rows_per_chunk, first_chunk;
  };
  const GemvKernels& kernels = OCTAVO_PICK_SIMD(gemv_kernels);
  Part plans[kMaxParts];
  int64_t num_chunks = 0;
  double cost = 0;
  size_t num_parts = 0;
  for (const GemvPart& part : parts) {
    Part& plan = plans[num_parts++];
    plan.out = part.weight->shape[0];
    plan.in = part.weight->shape[1];
    plan.multiply = of_dtype(part.weight->dtype, kernels.f32, kernels.bf16, kernels.f16);
    const auto row_bytes = static_cast<int64_t>(dtype_size_bytes(part.weight->dtype)) * plan.in;
    const int64_t rows = kChunkBytes / std::max<int64_t>(1, row_bytes);
    plan.rows_per_chunk = std::max(kRowsPerUnit, rows / kRowsPerUnit * kRowsPerUnit);
    plan.first_chunk = num_chunks;
    num_chunks += (plan.out + plan.rows_per_chunk - 1) / plan.rows_per_chunk;
    cost += static_cast<double>(plan.out) * plan.in;
  }
  parallel_for_chunks(num_chunks, cost, [&](int64_t chunk) {
    size_t index = num_parts - 1;
    while (plans[index].first_chunk > chunk) --index;
    const Part& plan = plans[index];
    const GemvPart& part = parts.begin()[index];
    const int64_t first_row = (chunk - plan.first_chunk) * plan.rows_per_chunk;
    plan.multiply(input, part.weight->data, plan.in, first_row,
                  std::min(first_row + plan.rows_per_chunk, plan.out), part.output);
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
