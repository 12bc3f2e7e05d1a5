// Heads run in parallel, each into sums of its own that are then added in order: the number of threads
// changes no bit.
#include <algorithm>
#include <limits>
#include <vector>

#include "core/thread_pool.h"
#include "ops/attention_mass.h"
#include "ops/attention_mass_simd.h"
#include "ops/softmax_simd.h"

namespace octavo {

namespace {

// Turns the logits of one query, not yet scaled, into probabilities and adds them to sums.
void add_probabilities(float scale, std::vector<float>& logits, int64_t num_keys, double* sums) {
  double sum = 0;
  OCTAVO_PICK_SIMD(softmax_kernels)
      .renew(logits.data(), num_keys, scale, -std::numeric_limits<float>::infinity(), &sum);
  OCTAVO_PICK_SIMD(attention_mass_kernels).add(logits.data(), num_keys, 1 / sum, sums);
}

// Calls add(head, logits, sums) for each query head and averages the sums.
template <typename Add>
void average_over_heads(int num_query_heads, int64_t num_keys, double cost, float* mass, Add&& add) {
  const auto size = static_cast<size_t>(num_keys);
  std::vector<double> sums(size * static_cast<size_t>(num_query_heads));
  parallel_for_worthwhile(num_query_heads, cost, [&](int64_t begin, int64_t end, int) {
    std::vector<float> logits(size);
    for (int64_t head = begin; head < end; ++head)
      add(head, logits, sums.data() + static_cast<size_t>(head) * size);
  });
  mean_attention_mass(sums.data(), num_query_heads, num_keys, mass);
}

}  // namespace

void add_prompt_attention_mass_cpu(int num_query_heads, int num_kv_heads, int head_dim, const float* query,
                                   const float* key, int64_t first_position, int64_t num_queries, float scale,
                                   int64_t num_tokens, double* sums) {
  const int group_size = num_query_heads / num_kv_heads;
  const AttentionMassKernels& kernels = OCTAVO_PICK_SIMD(attention_mass_kernels);
  const int64_t end = first_position + num_queries;
  const double cost = static_cast<double>(num_queries) * end * num_query_heads * head_dim;
  parallel_for_worthwhile(num_query_heads, cost, [&](int64_t begin_head, int64_t end_head, int) {
    std::vector<float> logits(static_cast<size_t>(end));
    for (int64_t head = begin_head; head < end_head; ++head) {
      const float* head_key = key + head / group_size * head_dim;
      for (int64_t token = first_position; token < end; ++token) {
        kernels.dots(query + ((token - first_position) * num_query_heads + head) * head_dim, head_key,
                     int64_t{num_kv_heads} * head_dim, token + 1, head_dim, logits.data());
        add_probabilities(scale, logits, token + 1, sums + head * num_tokens);
      }
    }
  });
}

void mean_attention_mass(const double* sums, int num_query_heads, int64_t num_tokens, float* mass) {
  for (int64_t token = 0; token < num_tokens; ++token) {
    double sum = 0;
    for (int64_t head = 0; head < num_query_heads; ++head) sum += sums[head * num_tokens + token];
    mass[token] = static_cast<float>(sum / num_query_heads);
  }
}

}  // namespace octavo
