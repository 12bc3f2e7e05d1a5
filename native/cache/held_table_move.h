// Tables at rest that leave their arena together: what they share stays shared.
#pragma once

#include <memory>
#include <vector>

#include "cache/held_table.h"

namespace octavo {

// Copies of tables held of one arena, in an arena that has just their blocks. Throws ERR_OCTAVO_MEMORY.
std::vector<HeldTable> moved_out(const std::vector<const HeldTable*>& tables);

}  // namespace octavo
