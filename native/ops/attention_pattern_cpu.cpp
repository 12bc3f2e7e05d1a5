// Logits in fp32 as in attention itself; the sum of the softmax in fp64, so that rows add up to 1.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/slot_bits.h"
#include "ops/attention_pattern.h"
#include "ops/widen.h"

namespace octavo {

void attention_pattern_cpu(const PagedAttentionShape& shape, const float* query, const void* key_cache,
                           const int32_t* block_table, int64_t kv_len, float scale, float* probabilities,
                           const uint64_t* dead_slots) {
  const int group_size = shape.num_query_heads / shape.num_kv_heads;
  const auto is_live = [&](int64_t slot) {
    return !dead_slots || !slot_bit(dead_slots, slot, shape.block_size);
  };
  int64_t num_live = 0;
  for (int64_t slot = 0; slot < kv_len; ++slot) num_live += is_live(slot) ? 1 : 0;
  BlockRows rows(shape, key_cache);
  for (int head = 0; head < shape.num_query_heads; ++head) {
    const float* head_query = query + static_cast<int64_t>(head) * shape.head_dim;
    float* row = probabilities + head * num_live;
    float largest = -std::numeric_limits<float>::infinity();
    float* next = row;
    for (int64_t first = 0; first < kv_len; first += shape.block_size) {
      const int64_t count = std::min<int64_t>(shape.block_size, kv_len - first);
      const float* key = rows.of(block_table[first / shape.block_size], head / group_size, count);
      for (int64_t slot = first; slot < first + count; ++slot, key += shape.head_dim) {
        if (!is_live(slot)) continue;
        float dot = 0;
        for (int element = 0; element < shape.head_dim; ++element) dot += head_query[element] * key[element];
        *next = dot * scale;
        largest = std::max(largest, *next++);
      }
    }
    double sum = 0;
    for (int64_t i = 0; i < num_live; ++i) {
      row[i] = std::exp(row[i] - largest);
      sum += row[i];
    }
    for (int64_t i = 0; i < num_live; ++i) row[i] = static_cast<float>(row[i] / sum);
  }
}

}  // namespace octavo
