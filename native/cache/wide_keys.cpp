// See wide_keys.h.
#include "cache/wide_keys.h"

#include "cache/kv_cache.h"

namespace octavo {

WideKeys KvCache::wide_keys() const {
  if (shape().dtype == DType::kF32) {
    return {.keys = keys().f32(),
            .block_ids = table_.block_ids().data(),
            .shape = shape(),
            .widened = {},
            .logical_order = {}};
  }
  WideKeys wide{.keys = nullptr, .block_ids = nullptr, .shape = shape(), .widened = {}, .logical_order = {}};
  const auto head_dim = static_cast<size_t>(shape().head_dim);
  const auto block_size = int64_t{shape().block_size};
  wide.widened.resize(static_cast<size_t>(table_.num_blocks()) * static_cast<size_t>(arena_->block_elements));
  for (int64_t slot = 0; slot < table_.num_slots(); ++slot) {
    for (int64_t head = 0; head < shape().num_kv_heads; ++head) {
      const int64_t row = (slot / block_size * shape().num_kv_heads + head) * block_size + slot % block_size;
      read_key(slot, static_cast<int>(head), wide.widened.data() + static_cast<size_t>(row) * head_dim);
    }
  }
  for (int block = 0; block < table_.num_blocks(); ++block) wide.logical_order.push_back(block);
  wide.keys = wide.widened.data();
  wide.block_ids = wide.logical_order.data();
  return wide;
}

}  // namespace octavo
