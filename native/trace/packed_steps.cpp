// See packed_steps.h.
#include "trace/packed_steps.h"

#include <algorithm>

namespace octavo {

namespace {

struct RowPacker {
  size_t row;
  std::vector<double>& packed;

  template <typename T>
  void operator()(const char*, const std::vector<T>& column) {
    packed.push_back(static_cast<double>(column[row]));
  }

  template <typename T>
  void operator()(const char*, const ListColumn<T>& column) {
    const auto first = static_cast<size_t>(column.offsets[row]);
    const auto last = static_cast<size_t>(column.offsets[row + 1]);
    packed.push_back(static_cast<double>(last - first));
    for (size_t i = first; i < last; ++i) packed.push_back(static_cast<double>(column.values[i]));
  }
};

// Rows are in order of steps.
template <typename Columns>
void pack_rows(Columns& columns, int32_t first_step, std::vector<double>& packed) {
  const std::vector<int32_t>& steps = columns.step_index;
  const auto first = std::lower_bound(steps.begin(), steps.end(), first_step);
  packed.push_back(static_cast<double>(steps.end() - first));
  for (auto row = static_cast<size_t>(first - steps.begin()); row < steps.size(); ++row)
    columns.visit(RowPacker{row, packed});
}

}  // namespace

std::vector<double> pack_steps(TraceTables& tables, int32_t first_step) {
  std::vector<double> packed;
  pack_rows(tables.steps, first_step, packed);
  pack_rows(tables.evictions, first_step, packed);
  return packed;
}

}  // namespace octavo
