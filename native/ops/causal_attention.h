// Prefill attention: every query of a contiguous prompt over the keys up to and including its own position.
// Where tokens were dropped before it, a key's position and not its place among those left says who sees it;
// where a prompt comes in parts, the keys are in the cache. A query's sums are the same bits in all three.
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace octavo {

void causal_attention_cpu(int num_query_heads, int num_kv_heads, int head_dim,
                          const float* query,  // [num_tokens, num_query_heads, head_dim], after RoPE
                          const float* key,    // [first_position + num_tokens, num_kv_heads, head_dim]
                          const float* value,  // the same
                          int64_t num_tokens, float scale,
                          float* output,  // [num_tokens, num_query_heads, head_dim]; may be `query` itself
                          int64_t first_position = 0);  // of the queries

// The keys that are left of a prompt.
struct KeptKeys {
  const float* key;          // [num_kept, num_kv_heads, head_dim], after RoPE
  const float* value;        // [num_kept, num_kv_heads, head_dim]
  const int32_t* positions;  // [num_kept], ascending; a query before the first sees none
  int64_t num_kept;          // at least 1
};

// Queries at dropped positions attend as well: to the keys left before them.
void causal_attention_over_kept_cpu(
    int num_query_heads, int num_kv_heads, int head_dim,
    const float* query,  // [num_tokens, num_query_heads, head_dim], after RoPE
    const KeptKeys& kept, int64_t num_tokens, float scale,
    float* output,                // [num_tokens, num_query_heads, head_dim]; may be `query` itself
    int64_t first_position = 0);  // of the queries

// Keys and values of a prompt so far: a cache in which token i has slot i.
struct CachedPrompt {
  const void* key_cache;       // [num_blocks, num_kv_heads, block_size, head_dim]
  const void* value_cache;     // [num_blocks, num_kv_heads, block_size, head_dim]
  DType dtype;                 // of both: f32, bf16 or f16
  const int32_t* block_table;  // physical block ids of the prompt's tokens up to the last query's
  int block_size;
};

// Query i stands at position first_position + i.
void causal_attention_over_cached_cpu(
    int num_query_heads, int num_kv_heads, int head_dim,
    const float* query,  // [num_tokens, num_query_heads, head_dim], after RoPE
    const CachedPrompt& cached, int64_t first_position, int64_t num_tokens, float scale,
    float* output);  // [num_tokens, num_query_heads, head_dim]; may be `query` itself

}  // namespace octavo
