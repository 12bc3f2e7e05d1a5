// The probabilities of paged attention, for looking at: what each live slot gets from each query head.
#pragma once

#include <cstdint>

#include "ops/paged_attention.h"

namespace octavo {

// The softmax that paged_attention_cpu takes, over the same slots; not on the path of a step, hence plain.
void attention_pattern_cpu(const PagedAttentionShape& shape,
                           const float* query,          // [num_query_heads, head_dim], after RoPE
                           const void* key_cache,       // [num_blocks, num_kv_heads, block_size, head_dim]
                           const int32_t* block_table,  // [ceil(kv_len / block_size)], physical block ids
                           int64_t kv_len,              // slots
                           float scale,                 // usually 1 / sqrt(head_dim)
                           float* probabilities,  // [num_query_heads, live slots], in logical order of slots
                           const uint64_t* dead_slots = nullptr);  // as in CachedSlots

}  // namespace octavo
