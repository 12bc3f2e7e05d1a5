// Logits in fp32 as in attention itself; the sum of the softmax in fp64, so that rows add up to 1.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/slot_bits.h"
#include "ops/attention_pattern.h"

namespace octavo {

void attention_pattern_cpu(const PagedAttentionShape& shape, const float* query, const float* key_cache,
                           const int32_t* block_table, int64_t kv_len, float scale, float* probabilities,
                           const uint64_t* dead_slots) {
  const int group_size = shape.num_query_heads / shape.num_kv_heads;
  std::vector<int64_t> slots;
  for (int64_t slot = 0; slot < kv_len; ++slot) {
    if (!dead_slots || !slot_bit(dead_slots, slot, shape.block_size)) slots.push_back(slot);
  }
  for (int head = 0; head < shape.num_query_heads; ++head) {
    const float* head_query = query + static_cast<int64_t>(head) * shape.head_dim;
    float* row = probabilities + static_cast<size_t>(head) * slots.size();
    float largest = -std::numeric_limits<float>::infinity();
    for (size_t i = 0; i < slots.size(); ++i) {
      const int64_t block = block_table[slots[i] / shape.block_size];
      const float* key = key_cache + ((block * shape.num_kv_heads + head / group_size) * shape.block_size +
                                      slots[i] % shape.block_size) *
                                         shape.head_dim;
      float dot = 0;
      for (int element = 0; element < shape.head_dim; ++element) dot += head_query[element] * key[element];
      row[i] = dot * scale;
      largest = std::max(largest, row[i]);
    }
    double sum = 0;
    for (size_t i = 0; i < slots.size(); ++i) {
      row[i] = std::exp(row[i] - largest);
      sum += row[i];
    }
    for (size_t i = 0; i < slots.size(); ++i) row[i] = static_cast<float>(row[i] / sum);
  }
}

}  // namespace octavo
