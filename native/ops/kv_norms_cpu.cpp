// See kv_norms.h.
#include <cmath>

#include "core/thread_pool.h"
#include "ops/kv_norms.h"
#include "ops/sum_of_squares.h"

namespace octavo {

void kv_norms_cpu(const float* key, const float* value, int64_t num_tokens, int num_kv_heads, int head_dim,
                  float* key_norms, float* value_norms) {
  const int64_t num_vectors = num_tokens * num_kv_heads;
  parallel_for_worthwhile(
      num_vectors, static_cast<double>(num_vectors) * head_dim * 4, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          key_norms[i] = static_cast<float>(std::sqrt(sum_of_squares(key + i * head_dim, head_dim)));
          value_norms[i] = static_cast<float>(std::sqrt(sum_of_squares(value + i * head_dim, head_dim)));
        }
      });
}

}  // namespace octavo
