// A naive fp64 paged attention, written from the definition: for each query head, loop over the live slots
// through the block table. It shares nothing with the engine's op.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "ops/paged_attention.h"

namespace octavo::test {

// A cache with more blocks than are used, placed at random, with NaN in every slot that is not live.
struct PagedCase {
  PagedAttentionShape shape;
  int64_t kv_len;
  float scale;
  std::vector<float> query, keys, values;
  std::vector<int32_t> table;

  int64_t num_table_blocks() const { return (kv_len + shape.block_size - 1) / shape.block_size; }
  // Index of one vector of the caches.
  int64_t offset(int64_t slot, int kv_head) const {
    const int64_t block = table[static_cast<size_t>(slot / shape.block_size)];
    return ((block * shape.num_kv_heads + kv_head) * shape.block_size + slot % shape.block_size) *
           shape.head_dim;
  }
  float* key(int64_t slot, int kv_head) { return keys.data() + offset(slot, kv_head); }
  float* value(int64_t slot, int kv_head) { return values.data() + offset(slot, kv_head); }
  float* query_of(int head) { return query.data() + static_cast<int64_t>(head) * shape.head_dim; }

  CachedSlots cached(const uint64_t* dead_slots = nullptr) const {
    return {.key_cache = keys.data(),
            .value_cache = values.data(),
            .block_table = table.data(),
            .kv_len = kv_len,
            .dead_slots = dead_slots};
  }

  std::vector<float> run() const {
    std::vector<float> output(query.size(), NAN);
    paged_attention_cpu(shape, query.data(), cached(), scale, output.data());
    return output;
  }
};

// N(0, 1) in queries and live slots. The numbers of a slot depend on the seed and the slot alone, so two
// cases of one seed with other tables or block sizes hold the same sequence.
inline PagedCase paged_case(PagedAttentionShape shape, int64_t kv_len, uint32_t seed,
                            uint32_t placement_seed) {
  PagedCase result{shape, kv_len, 1.0f / std::sqrt(static_cast<float>(shape.head_dim)), {}, {}, {}, {}};
  const int64_t used = result.num_table_blocks(), total = used + 3;
  std::vector<int32_t> ids(static_cast<size_t>(total));
  for (int64_t i = 0; i < total; ++i) ids[static_cast<size_t>(i)] = static_cast<int32_t>(i);
  std::mt19937 placement(placement_seed);
  std::shuffle(ids.begin(), ids.end(), placement);
  result.table.assign(ids.begin(), ids.begin() + used);

  const size_t cache_size =
      static_cast<size_t>(total * shape.num_kv_heads * shape.block_size * shape.head_dim);
  result.keys.assign(cache_size, NAN);
  result.values.assign(cache_size, NAN);
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  for (int64_t slot = 0; slot < kv_len; ++slot)
    for (int head = 0; head < shape.num_kv_heads; ++head)
      for (int i = 0; i < shape.head_dim; ++i) {
        result.key(slot, head)[i] = normal(generator);
        result.value(slot, head)[i] = normal(generator);
      }
  result.query.resize(static_cast<size_t>(shape.num_query_heads * shape.head_dim));
  for (float& element : result.query) element = normal(generator);
  return result;
}

// Faults an implementation could have; kNone is the definition.
enum class Mutant {
  kNone,
  kMeanOfValues,
  kZeros,
  kDropLastBlock,
  kSwapTwoBlocksValues,
  kIgnoreGrouping,
  kOneSlotShort
};

inline std::vector<double> paged_oracle(const PagedCase& input, Mutant mutant = Mutant::kNone) {
  const PagedAttentionShape& shape = input.shape;
  std::vector<double> output(input.query.size(), 0.0);
  if (mutant == Mutant::kZeros) return output;
  int64_t kv_len = input.kv_len;
  if (mutant == Mutant::kOneSlotShort) kv_len -= 1;
  if (mutant == Mutant::kDropLastBlock) kv_len = (input.num_table_blocks() - 1) * shape.block_size;
  const int group = shape.num_query_heads / shape.num_kv_heads;
  for (int head = 0; head < shape.num_query_heads; ++head) {
    const int kv_head = mutant == Mutant::kIgnoreGrouping ? head % shape.num_kv_heads : head / group;
    const float* query = input.query.data() + static_cast<int64_t>(head) * shape.head_dim;
    std::vector<double> logits(static_cast<size_t>(kv_len));
    double maximum = -std::numeric_limits<double>::infinity();
    for (int64_t slot = 0; slot < kv_len; ++slot) {
      const float* key = input.keys.data() + input.offset(slot, kv_head);
      double dot = 0;
      for (int i = 0; i < shape.head_dim; ++i) dot += static_cast<double>(query[i]) * key[i];
      logits[static_cast<size_t>(slot)] = mutant == Mutant::kMeanOfValues ? 0 : dot * input.scale;
      maximum = std::max(maximum, logits[static_cast<size_t>(slot)]);
    }
    double sum = 0;
    for (double& logit : logits) sum += logit = std::exp(logit - maximum);
    for (int64_t slot = 0; slot < kv_len; ++slot) {
      int64_t from = slot;
      // The first two whole blocks' values change places.
      if (mutant == Mutant::kSwapTwoBlocksValues && slot < 2 * shape.block_size)
        from = (slot + shape.block_size) % (2 * shape.block_size);
      const float* value = input.values.data() + input.offset(from, kv_head);
      for (int i = 0; i < shape.head_dim; ++i)
        output[static_cast<size_t>(head * shape.head_dim + i)] +=
            logits[static_cast<size_t>(slot)] / sum * value[i];
    }
  }
  return output;
}

}  // namespace octavo::test
