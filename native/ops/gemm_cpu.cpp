// Chooses the product. oneDNN runs one thread a call, on slices that our own pool hands out: two thread pools
// in one process would fight for the cores. The slices have a fixed size, so results do not depend on the
// number of threads.
#include <algorithm>

#include "core/cpu_info.h"
#include "ops/gemm.h"
#include "ops/gemm_bf16.h"

#ifdef OCTAVO_ONEDNN
#include <dnnl.h>
#include <omp.h>

#include <string>

#include "core/check.h"
#include "core/signal_block.h"
#include "core/thread_pool.h"
#include "ops/widen.h"
#endif

namespace octavo {

#ifdef OCTAVO_ONEDNN

namespace {

constexpr int64_t kColumnsPerTask = 128;
constexpr int64_t kRowsPerTask = 256;

void gemm_onednn(const float* input, const Tensor& weight, int64_t num_rows, float* output) {
  const int64_t out = weight.shape[0], in = weight.shape[1];
  const int64_t num_column_tasks = (out + kColumnsPerTask - 1) / kColumnsPerTask;
  const int64_t num_row_tasks = (num_rows + kRowsPerTask - 1) / kRowsPerTask;
  const double cost = static_cast<double>(num_rows) * out * in;
  parallel_for_chunks(num_column_tasks * num_row_tasks, cost, [&](int64_t task) {
    thread_local std::vector<float> widened;
    omp_set_num_threads(1);  // of this thread's calls only
    const SignalBlock no_signals;
    const int64_t column = task / num_row_tasks * kColumnsPerTask, row = task % num_row_tasks * kRowsPerTask;
    const int64_t columns = std::min(kColumnsPerTask, out - column),
                  rows = std::min(kRowsPerTask, num_rows - row);
    const dnnl_status_t status = dnnl_sgemm('N', 'T', rows, columns, in, 1.0f, input + row * in, in,
                                            widened_rows(weight, column, columns, widened), in, 0.0f,
                                            output + row * out + column, out);
    if (status != dnnl_success)
      throw Error("ERR_OCTAVO_GEMM", "oneDNN refused a product of " + std::to_string(rows) + " x " +
                                         std::to_string(columns) + " x " + std::to_string(in) + " (status " +
                                         std::to_string(static_cast<int>(status)) + ")");
  });
}

}  // namespace

#endif

void gemm_cpu(const float* input, const Tensor& weight, int64_t num_rows, float* output) {
  gemm_cpu(input, {{&weight, output}}, num_rows);
}

void gemm_cpu(const float* input, std::initializer_list<GemvPart> parts, int64_t num_rows) {
  if (num_rows == 1) return gemv_cpu(input, parts);
  // A forced lower level means no special instructions at all, also not oneDNN's.
  const bool is_best = simd_level() == best_simd_level();
  const auto rounds = [&](const GemvPart& part) {
    return is_best && part.weight->dtype == DType::kBf16 && num_rows >= kMinRowsForBf16 &&
           has_fast_bf16_products();
  };
  if (std::all_of(parts.begin(), parts.end(), rounds)) return gemm_bf16_cpu(input, parts, num_rows);
  for (const GemvPart& part : parts) {
    if (rounds(part)) {
      gemm_bf16_cpu(input, {part}, num_rows);
      continue;
    }
#ifdef OCTAVO_ONEDNN
    if (is_best) {
      gemm_onednn(input, *part.weight, num_rows, part.output);
      continue;
    }
#endif
    gemm_plain_cpu(input, *part.weight, num_rows, part.output);
  }
}

}  // namespace octavo
