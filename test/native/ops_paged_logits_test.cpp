// Products of a query and all keys, made before attention: what they say each slot gets, around holes and of
// some heads, is the mean of attention's pattern; attention that takes them over has the bits of attention
// that makes its own, also after a token went in between. The same of the numerators that attention leaves.
#include <algorithm>
#include <cstring>

#include "core/slot_bits.h"
#include "helpers.h"
#include "ops/attention_pattern.h"
#include "ops/paged_logits.h"
#include "ops/paged_numerators.h"
#include "paged_oracle.h"
#include "test.h"

using namespace octavo;
using namespace octavo::test;

namespace {

const std::vector<PagedAttentionShape> kShapes = {
    {12, 4, 64, 16}, {6, 2, 40, 8}, {3, 3, 18, 1}, {10, 2, 6, 65}};
const std::vector<int64_t> kLengths = {1, 17, 256, 257, 700};

std::vector<uint64_t> holes_of(const PagedAttentionShape& shape, int64_t kv_len, uint32_t seed) {
  const auto words = static_cast<size_t>(slot_words(shape.block_size));
  const int64_t num_blocks = (kv_len + shape.block_size - 1) / shape.block_size;
  std::vector<uint64_t> dead(words * static_cast<size_t>(num_blocks));
  std::mt19937 random(seed);
  for (int64_t slot = 1; slot < kv_len; ++slot) {
    const int64_t offset = slot % shape.block_size;
    if (random() % 4 == 0 || (slot >= 256 && slot < 512 && seed % 2 == 0))  // or a whole split of the work
      dead[static_cast<size_t>(slot / shape.block_size) * words + static_cast<size_t>(offset / 64)] |=
          uint64_t{1} << (offset % 64);
  }
  return dead;
}

// [kv_len, num_rows], 0 in holes.
std::vector<double> mean_pattern(const PagedCase& input, const uint64_t* dead, int num_rows) {
  const PagedAttentionShape& shape = input.shape;
  std::vector<int64_t> live;
  for (int64_t slot = 0; slot < input.kv_len; ++slot)
    if (!dead || !slot_bit(dead, slot, shape.block_size)) live.push_back(slot);
  std::vector<float> pattern(live.size() * static_cast<size_t>(shape.num_query_heads));
  attention_pattern_cpu(shape, input.query.data(), input.keys.data(), input.table.data(), input.kv_len,
                        input.scale, pattern.data(), dead);
  std::vector<double> mean(static_cast<size_t>(input.kv_len * num_rows));
  const int heads_each = shape.num_query_heads / num_rows;
  for (int head = 0; head < shape.num_query_heads; ++head)
    for (size_t i = 0; i < live.size(); ++i)
      mean[static_cast<size_t>(live[i] * num_rows + head / heads_each)] +=
          static_cast<double>(pattern[static_cast<size_t>(head) * live.size() + i]) / heads_each;
  return mean;
}

std::vector<float> attend(const PagedCase& input, int64_t kv_len, const uint64_t* dead,
                          const PagedLogits* logits, PagedNumerators* numerators = nullptr) {
  std::vector<float> output(input.query.size(), NAN);
  CachedSlots cached = input.cached(dead);
  cached.kv_len = kv_len;
  paged_attention_cpu(input.shape, input.query.data(), cached, input.scale, output.data(), numerators,
                      logits);
  return output;
}

PagedLogits multiplied(const PagedCase& input, const uint64_t* dead) {
  PagedLogits logits;
  logits.multiply(input.shape, input.query.data(), input.keys.data(), input.table.data(), input.kv_len, dead);
  return logits;
}

template <typename Check>
void for_each_case(Check&& check) {
  for_each_simd_level([&](const std::string& level) {
    uint32_t seed = 10;
    for (const PagedAttentionShape& shape : kShapes)
      for (const int64_t kv_len : kLengths) {
        ++seed;
        const PagedCase input = paged_case(shape, kv_len, seed, seed);
        const std::vector<uint64_t> holes = holes_of(shape, kv_len, seed);
        check(level, input, static_cast<const uint64_t*>(nullptr));
        check(level, input, holes.data());
      }
  });
}

}  // namespace

TEST("mass is the mean of attention's pattern, over holes too, of all heads or of each KV head's") {
  for_each_case([](const std::string& level, const PagedCase& input, const uint64_t* dead) {
    PagedNumerators numerators;
    PagedLogits logits = multiplied(input, dead);
    attend(input, input.kv_len, dead, nullptr, &numerators);
    for (const int num_rows : {1, input.shape.num_kv_heads}) {
      const std::vector<double> expected = mean_pattern(input, dead, num_rows);
      const auto count = static_cast<int64_t>(expected.size());
      std::vector<float> mass;
      logits.mass(input.scale, num_rows, dead, mass);
      compare(level + ", by products", mass.data(), expected.data(), count, 1e-6, 1e-5);
      std::vector<float> sums(expected.size(), 0.0F);
      numerators.add_mass_to(sums.data(), num_rows, dead);
      compare(level + ", by numerators", sums.data(), expected.data(), count, 1e-6, 1e-5);
    }
  });
}

TEST("attention has the same bits with products that are there already") {
  for_each_case([](const std::string&, const PagedCase& input, const uint64_t* dead) {
    const PagedLogits logits = multiplied(input, dead);
    REQUIRE(attend(input, input.kv_len, dead, &logits) == attend(input, input.kv_len, dead, nullptr));
  });
}

TEST("a token that leaves a hole between the products and attention") {
  for_each_case([](const std::string&, const PagedCase& input, const uint64_t* dead) {
    const auto words = static_cast<size_t>(slot_words(input.shape.block_size));
    std::vector<uint64_t> after(words * static_cast<size_t>(input.num_table_blocks()));
    if (dead) std::copy_n(dead, after.size(), after.begin());
    PagedLogits logits = multiplied(input, dead);
    for (const int64_t slot : {input.kv_len - 1, input.kv_len / 2, int64_t{0}}) {
      const int64_t offset = slot % input.shape.block_size;
      uint64_t& word = after[static_cast<size_t>(slot / input.shape.block_size) * words +
                             static_cast<size_t>(offset / 64)];
      if (slot_bit(after.data(), slot, input.shape.block_size)) continue;
      word |= uint64_t{1} << (offset % 64);
      logits.leave_hole(slot, after.data());
      const std::vector<float> expected = attend(input, input.kv_len, after.data(), nullptr);
      const std::vector<float> actual = attend(input, input.kv_len, after.data(), &logits);
      // Of no live slot there is no attention: NaN.
      REQUIRE(std::memcmp(actual.data(), expected.data(), actual.size() * sizeof(float)) == 0);
    }
  });
}

TEST("the newest token takes another's slot between the products and attention") {
  for_each_case([](const std::string&, const PagedCase& input, const uint64_t* dead) {
    if (dead || input.kv_len < 2) return;
    PagedCase after = input;
    PagedLogits logits = multiplied(input, nullptr);
    int64_t kv_len = input.kv_len;
    for (const int64_t slot : {input.kv_len / 2, int64_t{0}, input.kv_len - 3}) {
      if (slot < 0 || slot >= kv_len || kv_len < 2) continue;
      --kv_len;
      for (int head = 0; head < input.shape.num_kv_heads; ++head) {
        std::copy_n(after.key(kv_len, head), input.shape.head_dim, after.key(slot, head));
        std::copy_n(after.value(kv_len, head), input.shape.head_dim, after.value(slot, head));
      }
      logits.move_newest_to(slot);
      REQUIRE(logits.num_slots() == kv_len);
      REQUIRE(attend(after, kv_len, nullptr, &logits) == attend(after, kv_len, nullptr, nullptr));
    }
  });
}
