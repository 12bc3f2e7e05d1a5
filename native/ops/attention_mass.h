// What tokens get of attention, for policies that score by it: probabilities summed over queries, averaged
// over query heads. Computed apart from attention itself, which so costs nothing more where no policy asks.
#pragma once

#include <cstdint>

namespace octavo {

// What queries of a contiguous prompt give each key up to their own position, added up: a prompt's queries
// may come in several calls, in order.
void add_prompt_attention_mass_cpu(
    int num_query_heads, int num_kv_heads, int head_dim,
    const float* query,  // [num_queries, num_query_heads, head_dim]
    const float* key,    // [first_position + num_queries, num_kv_heads, head_dim]
    int64_t first_position, int64_t num_queries, float scale,
    int64_t num_tokens,  // of the whole prompt
    double* sums);       // [num_query_heads, num_tokens], added to

// The mean over some query heads; adds up to the number of queries.
void mean_attention_mass(const double* sums,  // [num_query_heads, num_tokens] of these heads
                         int num_query_heads, int64_t num_tokens,
                         float* mass);  // [num_tokens]

}  // namespace octavo
