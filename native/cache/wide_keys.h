// Keys of a table as fp32, for what reads all of them at once: in place where they are fp32 already, else
// widened block by block in logical order.
#pragma once

#include <cstdint>
#include <vector>

#include "cache/kv_arena.h"

namespace octavo {

// Valid until the cache changes.
struct WideKeys {
  const float* keys;         // [blocks, num_kv_heads, block_size, head_dim]
  const int32_t* block_ids;  // where the table's blocks lie in keys, in logical order
  KvCacheShape shape;
  std::vector<float> widened;
  std::vector<int32_t> logical_order;

  // One key: [head_dim].
  const float* of(int64_t slot, int head) const {
    const int64_t block = block_ids[slot / shape.block_size];
    const int64_t row = (block * shape.num_kv_heads + head) * shape.block_size + slot % shape.block_size;
    return keys + row * shape.head_dim;
  }
};

}  // namespace octavo
