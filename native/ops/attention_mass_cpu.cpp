// Heads run in parallel, each into sums of its own that are then added in order: the number of threads
// changes no bit.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/thread_pool.h"
#include "ops/attention_mass.h"

namespace octavo {

namespace {

// Eight partial sums, so that the compiler may use vectors without reordering.
float dot(const float* a, const float* b, int count) {
  constexpr int kSums = 8;
  float sums[kSums] = {};
  int i = 0;
  for (; i + kSums <= count; i += kSums)
    for (int j = 0; j < kSums; ++j) sums[j] += a[i + j] * b[i + j];
  for (int j = 0; i < count; ++i, ++j) sums[j] += a[i] * b[i];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

// Adds one query's softmax over num_keys keys to sums. key_at(i) gives the i-th key.
template <typename KeyAt>
void add_probabilities(const float* query, int64_t num_keys, int head_dim, float scale, KeyAt&& key_at,
                       std::vector<float>& logits, double* sums) {
  float largest = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < num_keys; ++i) {
    const float logit = dot(query, key_at(i), head_dim) * scale;
    logits[static_cast<size_t>(i)] = logit;
    largest = std::max(largest, logit);
  }
  double sum = 0;
  for (int64_t i = 0; i < num_keys; ++i) {
    float& logit = logits[static_cast<size_t>(i)];
    logit = std::exp(logit - largest);
    sum += logit;
  }
  for (int64_t i = 0; i < num_keys; ++i) sums[i] += logits[static_cast<size_t>(i)] / sum;
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
  const double cost = static_cast<double>(num_queries) * num_tokens * num_query_heads * head_dim;
  average_over_heads(
      num_query_heads, num_tokens, cost, mass, [&](int64_t head, std::vector<float>& logits, double* sums) {
        const float* head_key = key + head / group_size * head_dim;
        for (int64_t token = num_tokens - num_queries; token < num_tokens; ++token) {
          const auto key_at = [&](int64_t i) { return head_key + i * num_kv_heads * head_dim; };
          add_probabilities(query + (token * num_query_heads + head) * head_dim, token + 1, head_dim, scale,
                            key_at, logits, sums);
        }
      });
}

void paged_attention_mass_cpu(const PagedAttentionShape& shape, const float* query, const float* key_cache,
                              const int32_t* block_table, int64_t kv_len, float scale, float* mass) {
  const int group_size = shape.num_query_heads / shape.num_kv_heads;
  const double cost = static_cast<double>(kv_len) * shape.num_query_heads * shape.head_dim;
  average_over_heads(
      shape.num_query_heads, kv_len, cost, mass, [&](int64_t head, std::vector<float>& logits, double* sums) {
        const auto key_at = [&](int64_t slot) {
          const int64_t block = block_table[slot / shape.block_size];
          const int64_t row =
              (block * shape.num_kv_heads + head / group_size) * shape.block_size + slot % shape.block_size;
          return key_cache + row * shape.head_dim;
        };
        add_probabilities(query + head * shape.head_dim, kv_len, shape.head_dim, scale, key_at, logits, sums);
      });
}

}  // namespace octavo
