// The raw material of scores against float64 written from the definitions: attention mass of prompts and of
// block tables, and distinctness of keys, at sizes that divide nothing.
#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

#include "helpers.h"
#include "ops/attention_mass.h"
#include "ops/key_distinctness.h"
#include "ops/paged_attention.h"
#include "ops/paged_logits.h"
#include "ops/paged_numerators.h"
#include "test.h"

using namespace octavo;
using namespace octavo::test;

namespace {

std::vector<double> softmax(const std::vector<double>& logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> shares;
  double sum = 0;
  for (const double logit : logits) sum += shares.emplace_back(std::exp(logit - largest));
  for (double& share : shares) share /= sum;
  return shares;
}

double dot(const float* a, const float* b, int count) {
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

struct Shape {
  int num_query_heads, num_kv_heads, head_dim;
};
constexpr Shape kShapes[] = {{4, 2, 6}, {3, 3, 17}, {12, 4, 64}, {5, 1, 100}};

}  // namespace

TEST("attention mass of a prompt's last queries") {
  for_each_simd_level([](const std::string& level) {
    for (const auto& [query_heads, kv_heads, head_dim] : kShapes) {
      constexpr int64_t kTokens = 83;
      const int group_size = query_heads / kv_heads;
      const std::vector<float> query =
                                   normal_floats(static_cast<size_t>(kTokens * query_heads * head_dim), 1),
                               key = normal_floats(static_cast<size_t>(kTokens * kv_heads * head_dim), 2);
      for (const int64_t num_queries : {int64_t{1}, int64_t{7}, kTokens}) {
        std::vector<double> expected(kTokens, 0.0);
        for (int64_t token = kTokens - num_queries; token < kTokens; ++token) {
          for (int head = 0; head < query_heads; ++head) {
            std::vector<double> logits;
            for (int64_t other = 0; other <= token; ++other) {
              logits.push_back(0.3 * dot(query.data() + (token * query_heads + head) * head_dim,
                                         key.data() + (other * kv_heads + head / group_size) * head_dim,
                                         head_dim));
            }
            const std::vector<double> shares = softmax(logits);
            for (size_t other = 0; other < shares.size(); ++other)
              expected[other] += shares[other] / query_heads;
          }
        }
        std::vector<float> mass(kTokens, std::numeric_limits<float>::quiet_NaN()), in_calls = mass;
        const auto add = [&](int64_t first, int64_t count, std::vector<double>& sums) {
          add_prompt_attention_mass_cpu(query_heads, kv_heads, head_dim,
                                        query.data() + first * query_heads * head_dim, key.data(), first,
                                        count, 0.3F, kTokens, sums.data());
        };
        std::vector<double> sums(static_cast<size_t>(kTokens * query_heads)), sums_in_calls = sums;
        add(kTokens - num_queries, num_queries, sums);
        for (int64_t first = kTokens - num_queries; first < kTokens; first += 3)
          add(first, std::min<int64_t>(3, kTokens - first), sums_in_calls);
        mean_attention_mass(sums.data(), query_heads, kTokens, mass.data());
        mean_attention_mass(sums_in_calls.data(), query_heads, kTokens, in_calls.data());
        compare(level + ", prompt, head_dim " + std::to_string(head_dim), mass.data(), expected.data(),
                kTokens, 1e-6, 1e-5);
        REQUIRE(mass == in_calls);
      }
    }
  });
}

TEST("attention mass over a block table") {
  for_each_simd_level([](const std::string& level) {
    for (const auto& [query_heads, kv_heads, head_dim] : kShapes) {
      for (const int64_t kv_len : {1, 5, 37, 600}) {
        constexpr int kBlockSize = 5;
        const auto num_blocks = static_cast<int32_t>((kv_len + kBlockSize - 1) / kBlockSize);
        std::vector<int32_t> table(static_cast<size_t>(num_blocks));
        std::iota(table.begin(), table.end(), 1);
        std::reverse(table.begin(), table.end());
        const std::vector<float> query = normal_floats(static_cast<size_t>(query_heads * head_dim), 3);
        // Slots that are not live, and a block of nobody's, hold NaN.
        std::vector<float> keys(static_cast<size_t>((num_blocks + 1) * kv_heads * kBlockSize * head_dim),
                                std::numeric_limits<float>::quiet_NaN());
        std::mt19937 random(4);
        std::normal_distribution<float> normal;
        const auto key_at = [&](int64_t slot, int kv_head) {
          const int64_t block = table[static_cast<size_t>(slot / kBlockSize)];
          return keys.data() + ((block * kv_heads + kv_head) * kBlockSize + slot % kBlockSize) * head_dim;
        };
        for (int64_t slot = 0; slot < kv_len; ++slot)
          for (int head = 0; head < kv_heads; ++head)
            std::generate_n(key_at(slot, head), head_dim, [&] { return normal(random); });
        std::vector<double> expected(static_cast<size_t>(kv_len), 0.0);
        for (int head = 0; head < query_heads; ++head) {
          std::vector<double> logits;
          for (int64_t slot = 0; slot < kv_len; ++slot)
            logits.push_back(0.3 * dot(query.data() + head * head_dim,
                                       key_at(slot, head * kv_heads / query_heads), head_dim));
          const std::vector<double> shares = softmax(logits);
          for (size_t slot = 0; slot < shares.size(); ++slot) expected[slot] += shares[slot] / query_heads;
        }
        PagedLogits logits;
        logits.multiply({.num_query_heads = query_heads,
                         .num_kv_heads = kv_heads,
                         .head_dim = head_dim,
                         .block_size = kBlockSize},
                        query.data(), keys.data(), table.data(), kv_len, nullptr);
        std::vector<float> mass;
        logits.mass(0.3F, 1, nullptr, mass);
        // The same from what attention leaves behind, added to what was there; its output is as without.
        PagedNumerators numerators;
        const PagedAttentionShape shape = {.num_query_heads = query_heads,
                                           .num_kv_heads = kv_heads,
                                           .head_dim = head_dim,
                                           .block_size = kBlockSize};
        std::vector<float> plain(query.size()), output(query.size()), sums(static_cast<size_t>(kv_len), 2.0F);
        const CachedSlots cached = {.key_cache = keys.data(),
                                    .value_cache = keys.data(),
                                    .block_table = table.data(),
                                    .kv_len = kv_len};
        paged_attention_cpu(shape, query.data(), cached, 0.3F, plain.data());
        for (int call = 0; call < 2; ++call) {
          paged_attention_cpu(shape, query.data(), cached, 0.3F, output.data(), &numerators);
          REQUIRE(output == plain);
          numerators.add_mass_to(sums.data());
        }
        std::vector<double> twice;
        for (const double share : expected) twice.push_back(2 + 2 * share);
        compare(level + ", left by attention", sums.data(), twice.data(), kv_len, 1e-6, 1e-6);
        compare(level + ", table of " + std::to_string(kv_len) + ", head_dim " + std::to_string(head_dim),
                mass.data(), expected.data(), kv_len, 1e-6, 1e-5);
      }
    }
  });
}

TEST("distinctness of keys, with the same bits from every instruction set") {
  for (const auto& [query_heads, kv_heads, head_dim] : kShapes) {
    for (const int64_t num_tokens : {1, 2, 61}) {
      std::vector<float> keys = normal_floats(static_cast<size_t>(num_tokens * kv_heads * head_dim), 5);
      if (num_tokens > 2)
        std::fill_n(keys.begin(), head_dim, 0.0F);  // a key of zeros: its cosine counts as 0
      std::vector<const float*> rows;
      for (int64_t row = 0; row < num_tokens * kv_heads; ++row) rows.push_back(keys.data() + row * head_dim);
      std::vector<double> expected(static_cast<size_t>(num_tokens), 0.0);
      for (int head = 0; head < kv_heads; ++head) {
        std::vector<double> anchor(static_cast<size_t>(head_dim), 0.0);
        const auto row = [&](int64_t token) { return rows[static_cast<size_t>(token * kv_heads + head)]; };
        const auto length = [&](int64_t token) {
          return std::max(1e-8, std::sqrt(dot(row(token), row(token), head_dim)));
        };
        for (int64_t token = 0; token < num_tokens; ++token)
          for (int i = 0; i < head_dim; ++i) anchor[static_cast<size_t>(i)] += row(token)[i] / length(token);
        double squares = 0;
        for (const double sum : anchor) squares += sum * sum;
        for (int64_t token = 0; token < num_tokens; ++token) {
          double product = 0;
          for (int i = 0; i < head_dim; ++i) product += row(token)[i] * anchor[static_cast<size_t>(i)];
          expected[static_cast<size_t>(token)] -= product / length(token) / std::sqrt(squares) / kv_heads;
        }
      }
      std::vector<float> first;
      for_each_simd_level([&](const std::string& level) {
        std::vector<float> scores(static_cast<size_t>(num_tokens), std::numeric_limits<float>::quiet_NaN());
        key_distinctness_cpu(rows.data(), num_tokens, kv_heads, head_dim, scores.data());
        compare(level + ", keys of " + std::to_string(head_dim), scores.data(), expected.data(), num_tokens,
                2e-7, 2e-7);
        if (first.empty()) first = scores;
        REQUIRE(scores == first);
      });
    }
  }
}
