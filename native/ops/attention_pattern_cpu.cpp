// Logits in fp32 as in attention itself; the sum of the softmax in fp64, so that rows add up to 1.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/attention_pattern.h"

namespace octavo {

void attention_pattern_cpu(const PagedAttentionShape& shape, const float* query, const float* key_cache,
                           const int32_t* block_table, int64_t kv_len, float scale, float* probabilities) {
  const int group_size = shape.num_query_heads / shape.num_kv_heads;
  for (int head = 0; head < shape.num_query_heads; ++head) {
    const float* head_query = query + static_cast<int64_t>(head) * shape.head_dim;
    float* row = probabilities + head * kv_len;
    float largest = -std::numeric_limits<float>::infinity();
    for (int64_t slot = 0; slot < kv_len; ++slot) {
      const int64_t block = block_table[slot / shape.block_size];
      const float* key = key_cache + ((block * shape.num_kv_heads + head / group_size) * shape.block_size +
                                      slot % shape.block_size) *
                                         shape.head_dim;
      float dot = 0;
      for (int i = 0; i < shape.head_dim; ++i) dot += head_query[i] * key[i];
      row[slot] = dot * scale;
      largest = std::max(largest, row[slot]);
    }
    double sum = 0;
    for (int64_t slot = 0; slot < kv_len; ++slot) {
      row[slot] = std::exp(row[slot] - largest);
      sum += row[slot];
    }
    for (int64_t slot = 0; slot < kv_len; ++slot) row[slot] = static_cast<float>(row[slot] / sum);
  }
}

}  // namespace octavo
