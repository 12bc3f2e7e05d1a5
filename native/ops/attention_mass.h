// What tokens get of attention, for policies that score by it: probabilities summed over queries, averaged
// over query heads. Computed apart from attention itself, which so costs nothing more where no policy asks.
#pragma once

#include <cstdint>

#include "ops/paged_attention.h"

namespace octavo {

// From the last num_queries queries of a contiguous prompt, each over the keys up to its own position.
void prompt_attention_mass_cpu(int num_query_heads, int num_kv_heads, int head_dim,
                               const float* query,  // [num_tokens, num_query_heads, head_dim], after RoPE
                               const float* key,    // [num_tokens, num_kv_heads, head_dim], after RoPE
                               int64_t num_tokens,
                               int64_t num_queries,  // 1 to num_tokens
                               float scale,
                               float* mass);  // [num_tokens]; adds up to num_queries

// From one query over the live slots of a block table. Slots at or beyond kv_len are never read.
void paged_attention_mass_cpu(const PagedAttentionShape& shape,
                              const float* query,          // [num_query_heads, head_dim], after RoPE
                              const void* key_cache,       // [num_blocks, num_kv_heads, block_size, head_dim]
                              const int32_t* block_table,  // [ceil(kv_len / block_size)]
                              int64_t kv_len, float scale,
                              float* mass);  // [kv_len], in logical order of slots; adds up to 1

}  // namespace octavo
