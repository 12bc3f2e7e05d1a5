// Rounds the input once for all products of it, then multiplies panel by panel: a panel of columns is packed
// on the fly, which costs little against the rows it is multiplied with and keeps no second copy of a model.
#include <algorithm>
#include <vector>

#include "core/thread_pool.h"
#include "ops/gemm_bf16.h"
#include "ops/gemv_simd.h"
#include "ops/panel_bf16_simd.h"
#include "ops/panel_tasks.h"

namespace octavo {

namespace {

constexpr int64_t kDepthPerPass = 2048;  // a panel of this depth stays in the second cache

void round_rows(const float* input, int64_t num_rows, int64_t in, uint16_t* rounded) {
  const GemvKernels& kernels = OCTAVO_PICK_SIMD(gemv_kernels);
  const double cost = static_cast<double>(num_rows) * static_cast<double>(in);
  parallel_for_worthwhile(num_rows, cost, [&](int64_t begin, int64_t end, int) {
    if (in % 2 == 0) return kernels.narrow_bf16(input + begin * in, (end - begin) * in, rounded + begin * in);
    for (int64_t row = begin; row < end; ++row) {
      kernels.narrow_bf16(input + row * in, in, rounded + row * (in + 1));
      rounded[row * (in + 1) + in] = 0;
    }
  });
}

}  // namespace

bool has_bf16_dot_products() {
#if defined(__x86_64__)
  static const bool has = best_simd_level() == SimdLevel::kAvx512 && __builtin_cpu_supports("avx512bf16");
  return has;
#else
  return false;
#endif
}

bool has_fast_bf16_products() {
#if defined(__x86_64__)
  static const bool has =
      has_bf16_matrix_instructions() || (has_bf16_dot_products() && __builtin_cpu_is("amd"));
  return has;
#else
  return false;
#endif
}

void multiply_bf16_dots(const uint16_t* rounded, std::initializer_list<GemvPart> parts, int64_t num_rows) {
  const Bf16PanelKernels& kernels = OCTAVO_PICK_SIMD(bf16_panel_kernels);
  const int64_t in = parts.begin()->weight->shape[1];
  for_each_panel(parts, num_rows, kBf16PanelWidth, [&](const PanelTask& task) {
    thread_local PanelMemory<uint16_t> memory;
    uint16_t* const panel = memory.of(even(std::min(kDepthPerPass, in)) * kBf16PanelWidth);
    const uint16_t* const rows = static_cast<const uint16_t*>(task.weight->data) + task.column * in;
    for (int64_t k = 0; k < in; k += kDepthPerPass) {
      const int64_t depth = std::min(kDepthPerPass, in - k);
      kernels.pack(task.num_columns, depth, rows + k, in, panel);
      kernels.multiply(task.num_rows, even(depth) / 2, rounded + task.first_row * even(in) + k, even(in),
                       panel, k > 0, task.output, task.output_stride);
    }
  });
}

void gemm_bf16_cpu(const float* input, std::initializer_list<GemvPart> parts, int64_t num_rows) {
  const int64_t in = parts.begin()->weight->shape[1];
  thread_local PanelMemory<uint16_t> memory;
  uint16_t* const rounded = memory.of(num_rows * even(in));
  round_rows(input, num_rows, in, rounded);
  if (!has_bf16_matrix_instructions()) return multiply_bf16_dots(rounded, parts, num_rows);
  for (const GemvPart& part : parts) multiply_bf16_onednn(rounded, *part.weight, num_rows, part.output);
}

}  // namespace octavo
