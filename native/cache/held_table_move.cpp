// A block may be covered to different lengths by its tables; it is copied once, as far as the longest.
#include "cache/held_table_move.h"

#include <algorithm>
#include <map>

namespace octavo {

std::vector<HeldTable> moved_out(const std::vector<const HeldTable*>& tables) {
  std::map<int32_t, int> filled_of;  // by the id of a block
  for (const HeldTable* held : tables) {
    const BlockTable& table = held->table();
    for (int index = 0; index < table.num_blocks(); ++index) {
      int& filled = filled_of[table.block_id(index)];
      filled = std::max(filled, table.filled(index));
    }
  }
  const KvArena& source = *tables.front()->arena();
  KvCacheShape shape = source.shape;
  shape.num_blocks = std::max(1, static_cast<int>(filled_of.size()));
  const auto room = std::make_shared<KvArena>(shape);
  std::map<int32_t, int> moved;  // ids here by ids there
  for (const auto& [block_id, filled] : filled_of) {
    moved[block_id] = room->pool.allocate(filled);
    room->copy_block(source, block_id, moved[block_id], filled);
  }
  std::vector<HeldTable> held_here;
  held_here.reserve(tables.size());
  for (const HeldTable* held : tables) {
    BlockTable table = held->table();
    for (int index = 0; index < table.num_blocks(); ++index) {
      table.replace_block(index, moved[table.block_id(index)]);
    }
    held_here.emplace_back(room, std::move(table));
  }
  for (const auto& [block_id, filled] : filled_of) {
    room->pool.release(moved[block_id], filled, Holder::kTable);
  }
  return held_here;
}

}  // namespace octavo
