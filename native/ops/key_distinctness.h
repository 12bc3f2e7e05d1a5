// How far each key points from the mean direction of all of them, the raw material of KeyDiff: minus the
// cosine, averaged over heads. Sums are in double precision: scores do not depend on the instruction set.
#pragma once

#include <cstdint>

namespace octavo {

void key_distinctness_cpu(
    const float* const* keys,  // [num_tokens, num_kv_heads], each at a key of [head_dim], after RoPE
    int64_t num_tokens, int num_kv_heads, int head_dim,
    float* scores);  // [num_tokens], -1 to 1; higher is more distinct

}  // namespace octavo
