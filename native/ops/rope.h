// Rotary position embedding, half-split form: element i is rotated with element i + head_dim / 2. Angles are
// computed in double precision: in fp32 a position of 100,000 is off by up to 0.004 radians.
#pragma once

#include <cstdint>
#include <vector>

namespace octavo {

// Llama 3's frequency-dependent scaling. Source: Hugging Face `rope_scaling` of type "llama3".
struct RopeScaling {
  double factor;
  double low_freq_factor;
  double high_freq_factor;
  int64_t original_max_positions;
};

// Radians per position: theta^(-2i / head_dim), scaled when `scaling` is given. [head_dim / 2]
std::vector<double> rope_frequencies(int head_dim, double theta, const RopeScaling* scaling);

// Cosines and sines of every (position, frequency).
void rope_angles_cpu(const int64_t* positions, int64_t num_tokens,
                     const std::vector<double>& frequencies,  // [head_dim / 2]
                     float* cosines,                          // [num_tokens, head_dim / 2]
                     float* sines);                           // [num_tokens, head_dim / 2]

void rope_cpu(const float* cosines,  // [num_tokens, head_dim / 2]
              const float* sines,    // [num_tokens, head_dim / 2]
              int64_t num_tokens, int num_heads, int head_dim,
              float* heads);  // [num_tokens, num_heads, head_dim], rotated in place

}  // namespace octavo
