// Prefill attention over a cache that holds the prompt so far: the same bits as over contiguous rows,
// whatever the parts, the blocks and where they lie; nothing beyond the prompt is read.
#include <algorithm>
#include <numeric>

#include "core/half.h"
#include "core/thread_pool.h"
#include "helpers.h"
#include "ops/causal_attention.h"
#include "test.h"

using namespace octavo;
using namespace octavo::test;

namespace {

struct Shape {
  int num_query_heads, num_kv_heads, head_dim;
};

float rounded(float number, DType dtype) {
  if (dtype == DType::kF32) return number;
  return dtype == DType::kBf16 ? widen_bf16(narrow_to_bf16(number)) : widen_f16(narrow_to_f16(number));
}

// Rows [num_tokens, num_kv_heads, head_dim] in blocks in the order of a table, NaN in all other slots.
Tensor paged(const std::vector<float>& rows, const Shape& shape, DType dtype, int block_size,
             const std::vector<int32_t>& table, int num_blocks) {
  Tensor cache = Tensor::zeros(dtype, {num_blocks, shape.num_kv_heads, block_size, shape.head_dim});
  const auto store = [&](int64_t at, float number) {
    if (dtype == DType::kF32) {
      cache.f32()[at] = number;
    } else {
      static_cast<uint16_t*>(cache.data)[at] =
          dtype == DType::kBf16 ? narrow_to_bf16(number) : narrow_to_f16(number);
    }
  };
  for (int64_t i = 0; i < cache.num_elements(); ++i) store(i, NAN);
  const int64_t row_size = int64_t{shape.num_kv_heads} * shape.head_dim;
  for (int64_t i = 0; i < static_cast<int64_t>(rows.size()); ++i) {
    const int64_t token = i / row_size, head = i % row_size / shape.head_dim;
    const int64_t block = table[static_cast<size_t>(token / block_size)];
    store(((block * shape.num_kv_heads + head) * block_size + token % block_size) * shape.head_dim +
              i % shape.head_dim,
          rows[static_cast<size_t>(i)]);
  }
  return cache;
}

}  // namespace

TEST("parts over a cache have the bits of the whole prompt over contiguous rows") {
  for_each_simd_level([](const std::string&) {
    unsigned seed = 3;
    for (const Shape& shape : {Shape{4, 2, 32}, Shape{3, 1, 64}, Shape{2, 2, 18}})
      for (const DType dtype : {DType::kF32, DType::kBf16, DType::kF16})
        for (const int block_size : {1, 5, 16, 256})
          for (const std::vector<int64_t>& parts :
               {std::vector<int64_t>{1}, {48, 96, 7}, {1, 1, 130}, {200, 56}, {16, 64, 3, 200}}) {
            const int64_t num_tokens = std::accumulate(parts.begin(), parts.end(), int64_t{0});
            const auto query_row = static_cast<size_t>(shape.num_query_heads * shape.head_dim);
            const auto kv_row = static_cast<size_t>(shape.num_kv_heads * shape.head_dim);
            const auto count = static_cast<size_t>(num_tokens);
            const std::vector<float> query = normal_floats(count * query_row, ++seed);
            std::vector<float> key = normal_floats(count * kv_row, ++seed);
            std::vector<float> value = normal_floats(count * kv_row, ++seed);
            for (auto* rows : {&key, &value})
              for (float& number : *rows) number = rounded(number, dtype);
            std::vector<float> expected(query.size());
            const float scale = 0.2F;
            causal_attention_cpu(shape.num_query_heads, shape.num_kv_heads, shape.head_dim, query.data(),
                                 key.data(), value.data(), num_tokens, scale, expected.data());

            const auto num_used = static_cast<int>((num_tokens + block_size - 1) / block_size);
            std::vector<int32_t> table(static_cast<size_t>(num_used));
            for (int block = 0; block < num_used; ++block)
              table[static_cast<size_t>(block)] = num_used + 1 - block;  // back to front, two unused
            const Tensor keys = paged(key, shape, dtype, block_size, table, num_used + 2);
            const Tensor values = paged(value, shape, dtype, block_size, table, num_used + 2);
            std::vector<float> actual = query;  // the output may be the queries' own memory
            int64_t first = 0;
            for (const int64_t part : parts) {
              float* const rows = actual.data() + static_cast<size_t>(first) * query_row;
              causal_attention_over_cached_cpu(shape.num_query_heads, shape.num_kv_heads, shape.head_dim,
                                               rows,
                                               {.key_cache = keys.data,
                                                .value_cache = values.data,
                                                .dtype = dtype,
                                                .block_table = table.data(),
                                                .block_size = block_size},
                                               first, part, scale, rows);
              first += part;
            }
            REQUIRE(actual == expected);
          }
  });
}
