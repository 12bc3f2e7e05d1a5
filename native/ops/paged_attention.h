// Attention of one query token over the live slots of a block table. The order of slots carries no meaning:
// keys are cached after RoPE.
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace octavo {

class PagedLogits;
class PagedNumerators;

struct PagedAttentionShape {
  int num_query_heads;
  int num_kv_heads;
  int head_dim;
  int block_size;
  DType kv_dtype = DType::kF32;  // of both caches: f32, bf16 or f16
};

// What attention reads of the cache; views that the caller keeps alive.
struct CachedSlots {
  const void* key_cache;       // [num_blocks, num_kv_heads, block_size, head_dim]
  const void* value_cache;     // [num_blocks, num_kv_heads, block_size, head_dim]
  const int32_t* block_table;  // [ceil(kv_len / block_size)], physical block ids
  int64_t kv_len;              // slots; only the last block may be partial
  // [num_blocks, slot_words(block_size)], a set bit is a hole; null: every slot is live
  const uint64_t* dead_slots = nullptr;
};

// Softmax is taken in fp32 with the maximum subtracted; 16-bit keys and values are widened in registers.
// Slots at or beyond kv_len, and dead ones, are never read (they may hold NaN).
void paged_attention_cpu(const PagedAttentionShape& shape,
                         const float* query,  // [num_query_heads, head_dim], after RoPE
                         const CachedSlots& cached,
                         float scale,                            // usually 1 / sqrt(head_dim)
                         float* output,                          // [num_query_heads, head_dim]
                         PagedNumerators* numerators = nullptr,  // gets what mass needs
                         // Of this query and these slots, where they are there already; the result has the
                         // same bits.
                         const PagedLogits* logits = nullptr);

}  // namespace octavo
