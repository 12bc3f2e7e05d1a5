// Heads run in parallel, each into sums of its own that are then added in order: the number of threads
// changes no bit.
#include <algorithm>
#include <limits>
#include <vector>

#include "core/thread_pool.h"
#include "ops/attention_mass.h"
#include "ops/attention_mass_simd.h"
#include "ops/softmax_simd.h"
#include "ops/widen.h"

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
  for (size_t i = 0; i < size; ++i) {
    double sum = 0;
    for (size_t head = 0; head < static_cast<size_t>(num_query_heads); ++head) sum += sums[head * size + i];
    mass[i] = static_cast<float>(sum / num_query_heads);
  }
}

}  // namespace

void prompt_attention_mass_cpu(int num_query_heads, int num_kv_heads, int head_dim, const float* query,
                               const float* key, int64_t num_tokens, int64_t num_queries, float scale,
                               float* mass) {
  const int group_size = num_query_heads / num_kv_heads;
  const AttentionMassKernels& kernels = OCTAVO_PICK_SIMD(attention_mass_kernels);
  const double cost = static_cast<double>(num_queries) * num_tokens * num_query_heads * head_dim;
  average_over_heads(num_query_heads, num_tokens, cost, mass,
                     [&](int64_t head, std::vector<float>& logits, double* sums) {
                       const float* head_key = key + head / group_size * head_dim;
                       for (int64_t token = num_tokens - num_queries; token < num_tokens; ++token) {
                         kernels.dots(query + (token * num_query_heads + head) * head_dim, head_key,
                                      int64_t{num_kv_heads} * head_dim, token + 1, head_dim, logits.data());
                         add_probabilities(scale, logits, token + 1, sums);
                       }
                     });
}

void paged_attention_mass_cpu(const PagedAttentionShape& shape, const float* query, const void* key_cache,
                              const int32_t* block_table, int64_t kv_len, float scale, float* mass) {
  const int group_size = shape.num_query_heads / shape.num_kv_heads;
  const AttentionMassKernels& kernels = OCTAVO_PICK_SIMD(attention_mass_kernels);
  const double cost = static_cast<double>(kv_len) * shape.num_query_heads * shape.head_dim;
  average_over_heads(
      shape.num_query_heads, kv_len, cost, mass, [&](int64_t head, std::vector<float>& logits, double* sums) {
        BlockRows rows(shape, key_cache);
        for (int64_t slot = 0; slot < kv_len; slot += shape.block_size) {
          const int64_t count = std::min<int64_t>(shape.block_size, kv_len - slot);
          const float* keys = rows.of(block_table[slot / shape.block_size], head / group_size, count);
          kernels.dots(query + head * shape.head_dim, keys, shape.head_dim, count, shape.head_dim,
                       logits.data() + slot);
        }
        add_probabilities(scale, logits, kv_len, sums);
      });
}

}  // namespace octavo
