// The product in fp32 of any weights: a panel is widened as it is packed, and stays in the second cache while
// all rows pass.
#include <algorithm>

#include "core/check.h"
#include "ops/gemm.h"
#include "ops/panel_simd.h"
#include "ops/panel_tasks.h"

namespace octavo {

namespace {

constexpr int64_t kDepthPerPass = 1024;

PanelKernels::Transpose transpose_of(const PanelKernels& kernels, DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return kernels.transpose_f32;
    case DType::kBf16:
      return kernels.transpose_bf16;
    case DType::kF16:
      return kernels.transpose_f16;
    case DType::kI32:
      break;
  }
  throw Error("ERR_OCTAVO_DTYPE", "Expected f32, bf16 or f16 weights but received i32");
}

}  // namespace

void gemm_fp32_cpu(const float* input, std::initializer_list<GemvPart> parts, int64_t num_rows) {
  const PanelKernels& kernels = OCTAVO_PICK_SIMD(panel_kernels);
  const int64_t in = parts.begin()->weight->shape[1], width = kernels.panel_width;
  for_each_panel(parts, num_rows, width, [&](const PanelTask& task) {
    thread_local PanelMemory<float> memory;
    float* const panel = memory.of(std::min(kDepthPerPass, in) * width);
    const PanelKernels::Transpose transpose = transpose_of(kernels, task.weight->dtype);
    const auto element_bytes = static_cast<int64_t>(dtype_size_bytes(task.weight->dtype));
    const char* const rows = static_cast<const char*>(task.weight->data) + task.column * in * element_bytes;
    for (int64_t k = 0; k < in; k += kDepthPerPass) {
      const int64_t depth = std::min(kDepthPerPass, in - k);
      transpose(task.num_columns, depth, rows + k * element_bytes, in, panel);
      kernels.multiply(task.num_rows, depth, input + task.first_row * in + k, in, panel, k > 0, task.output,
                       task.output_stride);
    }
  });
}

}  // namespace octavo
