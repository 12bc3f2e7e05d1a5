// How a matrix product is shared out: panels of output columns by at most kRowsPerTask rows, whatever the
// number of threads, so results do not depend on it.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "core/thread_pool.h"
#include "ops/gemm.h"

namespace octavo {

struct PanelTask {
  const Tensor* weight;
  int64_t column, num_columns;  // outputs; fewer than a panel's at the end
  int64_t first_row, num_rows;
  float* output;  // of the first row and column; the columns of a whole panel may be written
  int64_t output_stride;
};

// Calls body(task) in parallel for each panel of several products of the same input.
template <typename Body>
void for_each_panel(std::initializer_list<GemvPart> parts, int64_t num_rows, int64_t panel_width,
                    Body&& body) {
  constexpr int64_t kRowsPerTask = 512;
  const auto num_panels_of = [=](const GemvPart& part) {
    return (part.weight->shape[0] + panel_width - 1) / panel_width;
  };
  const int64_t in = parts.begin()->weight->shape[1];
  const int64_t num_row_tasks = (num_rows + kRowsPerTask - 1) / kRowsPerTask;
  int64_t num_panels = 0;
  for (const GemvPart& part : parts) num_panels += num_panels_of(part);
  const double cost = static_cast<double>(num_rows) * static_cast<double>(num_panels * panel_width * in);
  parallel_for_chunks(num_panels * num_row_tasks, cost, [&](int64_t index) {
    const GemvPart* part = parts.begin();
    int64_t panel = index / num_row_tasks;
    for (; panel >= num_panels_of(*part); ++part) panel -= num_panels_of(*part);
    const int64_t out = part->weight->shape[0], column = panel * panel_width;
    const int64_t first_row = index % num_row_tasks * kRowsPerTask;
    PanelTask task = {.weight = part->weight,
                      .column = column,
                      .num_columns = std::min(panel_width, out - column),
                      .first_row = first_row,
                      .num_rows = std::min(kRowsPerTask, num_rows - first_row),
                      .output = part->output + first_row * out + column,
                      .output_stride = out};
    if (task.num_columns == panel_width) return body(task);
    // The last panel may be wider than the output: it goes through a copy.
    thread_local std::vector<float> edge;
    float* const output = task.output;
    edge.resize(static_cast<size_t>(task.num_rows * panel_width));
    task.output = edge.data();
    task.output_stride = panel_width;
    body(task);
    for (int64_t row = 0; row < task.num_rows; ++row)
      std::copy_n(edge.data() + row * panel_width, task.num_columns, output + row * out);
  });
}

// A thread's memory for a panel, in whole lines of a cache: vectors that lie across two are slower.
template <typename Number>
class PanelMemory {
 public:
  Number* of(int64_t count) {
    const size_t num_lines = static_cast<size_t>(count) * sizeof(Number) / sizeof(Line) + 1;
    if (lines_.size() < num_lines) lines_.resize(num_lines);
    return lines_.front().numbers;
  }

 private:
  struct alignas(64) Line {
    Number numbers[64 / sizeof(Number)];
  };
  std::vector<Line> lines_;
};

}  // namespace octavo
