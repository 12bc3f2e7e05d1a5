// What scores are made of over bf16 and f16 caches, and around holes: the bits that an fp32 cache of the same
// numbers gives, and for distinctness those of contiguous keys.
#include <algorithm>

#include "core/slot_bits.h"
#include "helpers.h"
#include "narrow_numbers.h"
#include "ops/attention_pattern.h"
#include "ops/key_distinctness.h"
#include "ops/paged_logits.h"
#include "paged_oracle.h"
#include "test.h"

using namespace octavo;
using namespace octavo::test;

namespace {

const std::vector<PagedAttentionShape> kShapes = {
    {4, 2, 32, 16}, {6, 2, 40, 8}, {3, 3, 18, 1}, {10, 2, 6, 65}};

// Every third slot, and all of the second block.
std::vector<uint64_t> some_holes(const PagedAttentionShape& shape, int64_t kv_len) {
  const auto words = static_cast<size_t>(slot_words(shape.block_size));
  const int64_t num_blocks = (kv_len + shape.block_size - 1) / shape.block_size;
  std::vector<uint64_t> dead(words * static_cast<size_t>(num_blocks));
  for (int64_t slot = 1; slot < kv_len; ++slot) {
    const int64_t offset = slot % shape.block_size, block = slot / shape.block_size;
    if (slot % 3 == 0 || block == 1)
      dead[static_cast<size_t>(block) * words + static_cast<size_t>(offset / 64)] |= uint64_t{1}
                                                                                     << (offset % 64);
  }
  return dead;
}

template <typename Read>
void require_same_bits(const void* exact, const void* narrow, DType dtype, PagedAttentionShape shape,
                       size_t count, Read&& read) {
  std::vector<float> expected(count, NAN), actual(count, NAN);
  read(shape, exact, expected.data());
  shape.kv_dtype = dtype;
  read(shape, narrow, actual.data());
  REQUIRE(std::none_of(expected.begin(), expected.end(), [](float number) { return std::isnan(number); }));
  REQUIRE(actual == expected);
}

}  // namespace

TEST("mass, pattern and distinctness read 16-bit keys block by block to the same bits") {
  for_each_simd_level([](const std::string&) {
    uint32_t seed = 1;
    for (const DType dtype : {DType::kBf16, DType::kF16})
      for (const PagedAttentionShape& shape : kShapes)
        for (const int64_t kv_len : {1, 15, 16, 17, 130, 600}) {
          ++seed;
          PagedCase input = paged_case(shape, kv_len, seed, seed);
          const std::vector<uint16_t> words = narrow(input.keys, dtype);
          const auto count = static_cast<size_t>(kv_len);
          const std::vector<uint64_t> holes = some_holes(shape, kv_len);
          const auto compare_reads = [&](size_t size, auto&& read) {
            require_same_bits(input.keys.data(), words.data(), dtype, shape, size, read);
          };
          for (const uint64_t* dead : {static_cast<const uint64_t*>(nullptr), holes.data()}) {
            size_t num_live = 0;
            for (int64_t slot = 0; slot < kv_len; ++slot)
              num_live += dead && slot_bit(dead, slot, shape.block_size) ? 0 : 1;
            const size_t size = num_live * static_cast<size_t>(shape.num_query_heads);
            for (int num_rows = 1; num_rows <= shape.num_kv_heads; num_rows += shape.num_kv_heads - 1)
              compare_reads(count * static_cast<size_t>(num_rows), [&](const PagedAttentionShape& each,
                                                                       const void* keys, float* to) {
                PagedLogits logits;
                logits.multiply(each, input.query.data(), keys, input.table.data(), kv_len, dead);
                std::vector<float> mass;
                logits.mass(input.scale, num_rows, dead, mass);
                std::copy(mass.begin(), mass.end(), to);
              });
            compare_reads(size, [&](const PagedAttentionShape& each, const void* keys, float* to) {
              attention_pattern_cpu(each, input.query.data(), keys, input.table.data(), kv_len, input.scale,
                                    to, dead);
            });
            for (int first = 0; first < shape.num_kv_heads; ++first)
              compare_reads(count, [&](const PagedAttentionShape& each, const void* keys, float* to) {
                paged_key_distinctness_cpu(each, keys, input.table.data(), kv_len, dead, first,
                                           shape.num_kv_heads - first, to);
              });
          }
        }
  });
}

TEST("distinctness over a block table with holes has the bits of contiguous live keys, and 0 in holes") {
  uint32_t seed = 50;
  for (const PagedAttentionShape& shape : kShapes)
    for (const int64_t kv_len : {1, 17, 200}) {
      ++seed;
      const PagedCase input = paged_case(shape, kv_len, seed, seed);
      const std::vector<uint64_t> holes = some_holes(shape, kv_len);
      const int first_head = shape.num_kv_heads - 1;
      std::vector<const float*> keys;
      std::vector<int64_t> live;
      for (int64_t slot = 0; slot < kv_len; ++slot) {
        if (slot_bit(holes.data(), slot, shape.block_size)) continue;
        const int64_t block = input.table[static_cast<size_t>(slot / shape.block_size)];
        const int64_t row =
            (block * shape.num_kv_heads + first_head) * shape.block_size + slot % shape.block_size;
        keys.push_back(input.keys.data() + row * shape.head_dim);
        live.push_back(slot);
      }
      std::vector<float> of_live(live.size()), expected(static_cast<size_t>(kv_len), 0.0F);
      key_distinctness_cpu(keys.data(), static_cast<int64_t>(live.size()), 1, shape.head_dim, of_live.data());
      for (size_t i = 0; i < live.size(); ++i) expected[static_cast<size_t>(live[i])] = of_live[i];
      std::vector<float> actual(expected.size(), NAN);
      paged_key_distinctness_cpu(shape, input.keys.data(), input.table.data(), kv_len, holes.data(),
                                 first_head, 1, actual.data());
      REQUIRE(actual == expected);
    }
}
