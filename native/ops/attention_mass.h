// What tokens get of attention, for policies that score by it: probabilities summed over queries, averaged
// over query heads. Computed apart from attention itself, which so costs nothing more where no policy asks.
#pragma once

#include <cstdint>

namespace octavo {

// From the last num_queries queries of a contiguous prompt, each over the keys up to its own position.
void prompt_attention_mass_cpu(int num_query_heads, int num_kv_heads, int head_dim,
                               const float* query,  // [num_tokens, num_query_heads, head_dim], after RoPE
                               const float* key,    // [num_tokens, num_kv_heads, head_dim], after RoPE
                               int64_t num_tokens,
                               int64_t num_queries,  // 1 to num_tokens
                               float scale,
                               float* mass);  // [num_tokens]; adds up to num_queries

}  // namespace octavo
