// How far each key points from the mean direction of all of them, the raw material of KeyDiff: minus the
// cosine, averaged over heads. Scores do not depend on the instruction set.
#pragma once

#include <cstdint>

#include "ops/paged_attention.h"

namespace octavo {

void key_distinctness_cpu(
    const float* const* keys,  // [num_tokens, num_kv_heads], each at a key of [head_dim], after RoPE
    int64_t num_tokens, int num_kv_heads, int head_dim,
    float* scores);  // [num_tokens], -1 to 1; higher is more distinct

// Of the live slots of a block table, by some of its KV heads; read block by block.
void paged_key_distinctness_cpu(
    const PagedAttentionShape& shape,
    const void* key_cache,          // [num_blocks, num_kv_heads, block_size, head_dim]
    const int32_t* block_table,     // [ceil(kv_len / block_size)], physical block ids
    int64_t kv_len,                 // slots
    const uint64_t* dead_slots,     // as in CachedSlots; null: every slot is live
    int first_head, int num_heads,  // KV heads
    float* scores);                 // [kv_len], 0 in holes

}  // namespace octavo
