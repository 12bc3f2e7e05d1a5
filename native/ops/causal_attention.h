// Prefill attention: every query of a contiguous prompt over the keys up to and including its own position.
#pragma once

#include <cstdint>

namespace octavo {

void causal_attention_cpu(int num_query_heads, int num_kv_heads, int head_dim,
                          const float* query,  // [num_tokens, num_query_heads, head_dim], after RoPE
                          const float* key,    // [num_tokens, num_kv_heads, head_dim], after RoPE
                          const float* value,  // [num_tokens, num_kv_heads, head_dim]
                          int64_t num_tokens, float scale,
                          float* output);  // [num_tokens, num_query_heads, head_dim]

}  // namespace octavo
