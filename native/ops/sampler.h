// Chooses the next token from logits: greedy, or a seeded draw after temperature, top-k and top-p, in that
// order.
#pragma once

#include <cstdint>
#include <vector>

namespace octavo {

struct Sampling {
  double temperature = 0;  // 0 is greedy
  int top_k = 0;           // keep the k most likely tokens; 0 keeps all
  double top_p = 1;  // keep the smallest set of most likely tokens with this much probability; 1 keeps all
};

// Throws ERR_OCTAVO_ARGUMENT when a value is out of range (temperature finite and >= 0, top_k >= 0, top_p in
// (0, 1]).
void check_sampling(const Sampling& sampling);

// The same (seed, step) draws the same token. Ties, in greedy choice and in the cut of top-k and top-p, go to
// the lowest token id. Throws ERR_OCTAVO_NAN when a logit is NaN or +infinity, or all are -infinity.
int32_t sample_token(const float* logits,  // [vocab_size]
                     int vocab_size, const Sampling& sampling, uint64_t seed, uint32_t step);

// The greedy choice alone: the lowest id among the largest logits.
int32_t argmax_token(const float* logits,  // [vocab_size]
                     int vocab_size);

}  // namespace octavo
