// Our own blocked product. The unit of work is one panel of output columns by at most kRowsPerTask rows,
// whatever the number of threads, so results do not depend on it.
#include <algorithm>
#include <vector>

#include "core/thread_pool.h"
#include "ops/gemm.h"
#include "ops/panel_simd.h"
#include "ops/widen.h"

namespace octavo {

namespace {

constexpr int64_t kDepthPerPass = 256;  // a panel of this depth fits the second cache beside the rows of A
constexpr int64_t kRowsPerTask = 384;
constexpr int kMaxPanelWidth = 64;

}  // namespace

void gemm_plain_cpu(const float* input, const Tensor& weight, int64_t num_rows, float* output) {
  const int64_t out = weight.shape[0], in = weight.shape[1];
  const PanelKernels& kernels = OCTAVO_PICK_SIMD(panel_kernels);
  const int64_t width = kernels.panel_width;
  const int64_t num_panels = (out + width - 1) / width;
  const int64_t num_row_tasks = (num_rows + kRowsPerTask - 1) / kRowsPerTask;
  const double cost = static_cast<double>(num_rows) * out * in;
  parallel_for_worthwhile(num_panels * num_row_tasks, cost, [&](int64_t begin, int64_t end, int) {
    thread_local std::vector<float> panel, edge, widened;
    panel.resize(static_cast<size_t>(kDepthPerPass * kMaxPanelWidth));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t column = task / num_row_tasks * width, columns = std::min(width, out - column);
      const int64_t first_row = task % num_row_tasks * kRowsPerTask;
      const int64_t rows = std::min(kRowsPerTask, num_rows - first_row);
      const float* panel_rows = widened_rows(weight, column, columns, widened);
      // The last panel may be wider than the output: it goes through a copy.
      const bool whole = columns == width;
      float* target = output + first_row * out + column;
      int64_t target_stride = out;
      if (!whole) {
        edge.resize(static_cast<size_t>(rows * width));
        target = edge.data();
        target_stride = width;
      }
      for (int64_t k = 0; k < in; k += kDepthPerPass) {
        const int64_t depth = std::min(kDepthPerPass, in - k);
        kernels.transpose(columns, depth, panel_rows + k, in, panel.data());
        kernels.multiply(rows, depth, input + first_row * in + k, in, panel.data(), k > 0, target,
                         target_stride);
      }
      if (!whole)
        for (int64_t row = 0; row < rows; ++row)
          std::copy_n(edge.data() + row * width, columns, output + (first_row + row) * out + column);
    }
  });
}

}  // namespace octavo
