// Lengths of keys and values, the raw material of eviction scores. Squares are summed in double precision:
// scores, and so evictions, do not depend on the instruction set.
#pragma once

#include <cstdint>

namespace octavo {

void kv_norms_cpu(const float* key,    // [num_tokens, num_kv_heads, head_dim]
                  const float* value,  // [num_tokens, num_kv_heads, head_dim]
                  int64_t num_tokens, int num_kv_heads, int head_dim,
                  float* key_norms,     // [num_tokens, num_kv_heads]
                  float* value_norms);  // [num_tokens, num_kv_heads]

}  // namespace octavo
