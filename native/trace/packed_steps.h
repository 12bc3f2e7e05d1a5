// Rows of a few steps as one array of numbers, for a caller who looks at every step: making forty arrays a
// step would cost more than a small model's step. The columns keep the rows; this is a copy.
#pragma once

#include <vector>

#include "trace/recorder.h"

namespace octavo {

// The number of steps and a row for each, then the number of their evictions and a row for each. A row has
// its table's columns in the schema's order: a number, or for a list its length and its values. fp32 and
// int32 widen exactly.
std::vector<double> pack_steps(TraceTables& tables,  // not changed
                               int32_t first_step);  // steps before it are left out

}  // namespace octavo
