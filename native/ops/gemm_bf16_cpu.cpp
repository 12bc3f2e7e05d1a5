// Rounds the input once for all products of it, then multiplies panel by panel: a panel of columns is packed
// on the fly, which costs little against the rows it is multiplied with and keeps no second copy of a model.
#include <algorithm>
#include <vector>

#include "core/thread_pool.h"
#include "ops/gemm_bf16.h"
#include "ops/gemv_simd.h"
#include "ops/panel_bf16_simd.h"

namespace octavo {

namespace {

constexpr int64_t kDepthPerPass = 2048;  // a panel of this depth stays in the second cache
constexpr int64_t kRowsPerTask = 512;

struct alignas(64) Line {
  uint16_t numbers[32];
};

uint16_t* grown(std::vector<Line>& memory, int64_t count) {
  const size_t num_lines = static_cast<size_t>(count) / std::size(Line{}.numbers) + 1;
  if (memory.size() < num_lines) memory.resize(num_lines);
  return memory.front().numbers;
}

int64_t whole_panels(int64_t num_columns) {
  return (num_columns + kBf16PanelWidth - 1) / kBf16PanelWidth * kBf16PanelWidth;
}

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
  constexpr int64_t kWidth = kBf16PanelWidth;
  const Bf16PanelKernels& kernels = OCTAVO_PICK_SIMD(bf16_panel_kernels);
  const int64_t in = parts.begin()->weight->shape[1],
                row_tasks = (num_rows + kRowsPerTask - 1) / kRowsPerTask;
  int64_t num_panels = 0;
  for (const GemvPart& part : parts) num_panels += whole_panels(part.weight->shape[0]) / kWidth;
  const double cost = static_cast<double>(num_rows) * static_cast<double>(num_panels * kWidth * in);
  parallel_for_chunks(num_panels * row_tasks, cost, [&](int64_t task) {
    thread_local std::vector<Line> panel_memory;
    thread_local std::vector<float> edge;
    const int64_t first_row = task % row_tasks * kRowsPerTask;
    const int64_t rows = std::min(kRowsPerTask, num_rows - first_row);
    const GemvPart* part = parts.begin();
    int64_t column = task / row_tasks * kWidth;
    for (; column >= part->weight->shape[0]; ++part) column -= whole_panels(part->weight->shape[0]);
    const int64_t out = part->weight->shape[0], columns = std::min(kWidth, out - column);
    const uint16_t* const weight = static_cast<const uint16_t*>(part->weight->data) + column * in;
    // The last panel may be wider than the output: it goes through a copy.
    const bool whole = columns == kWidth;
    float* const from_column = part->output + first_row * out + column;
    if (!whole) edge.resize(static_cast<size_t>(rows * kWidth));
    float* const target = whole ? from_column : edge.data();
    for (int64_t k = 0; k < in; k += kDepthPerPass) {
      const int64_t depth = std::min(kDepthPerPass, in - k), num_pairs = (depth + 1) / 2;
      uint16_t* const panel = grown(panel_memory, num_pairs * 2 * kWidth);
      kernels.pack(columns, depth, weight + k, in, panel);
      kernels.multiply(rows, num_pairs, rounded + first_row * even(in) + k, even(in), panel, k > 0, target,
                       whole ? out : kWidth);
    }
    if (!whole)
      for (int64_t row = 0; row < rows; ++row)
        std::copy_n(edge.data() + row * kWidth, columns, from_column + row * out);
  });
}

void gemm_bf16_cpu(const float* input, std::initializer_list<GemvPart> parts, int64_t num_rows) {
  const int64_t in = parts.begin()->weight->shape[1];
  thread_local std::vector<Line> rounded_memory;
  uint16_t* const rounded = grown(rounded_memory, num_rows * even(in));
  round_rows(input, num_rows, in, rounded);
  if (!has_bf16_matrix_instructions()) return multiply_bf16_dots(rounded, parts, num_rows);
  for (const GemvPart& part : parts) multiply_bf16_onednn(rounded, *part.weight, num_rows, part.output);
}

}  // namespace octavo
