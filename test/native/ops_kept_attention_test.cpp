// Prefill attention over the keys that a cut left, against the definition in fp64: a dense mask over the
// whole prompt with everything dropped masked out. Masks by place in place of position must fail the same
// bounds.
#include <algorithm>
#include <random>

#include "helpers.h"
#include "ops/causal_attention.h"
#include "test.h"

using namespace octavo;
using namespace octavo::test;

namespace {

struct CutPrompt {
  int num_query_heads, num_kv_heads, head_dim;
  int64_t num_tokens;
  std::vector<float> query, key, value;  // of the whole prompt
  std::vector<int32_t> kept;             // positions, ascending

  std::vector<float> run(int64_t slice = 1 << 20) const {
    const size_t row = static_cast<size_t>(num_kv_heads * head_dim);
    std::vector<float> kept_key, kept_value;
    for (const int32_t position : kept) {
      const auto first = static_cast<int64_t>(static_cast<size_t>(position) * row);
      kept_key.insert(kept_key.end(), key.begin() + first, key.begin() + first + static_cast<int64_t>(row));
      kept_value.insert(kept_value.end(), value.begin() + first,
                        value.begin() + first + static_cast<int64_t>(row));
    }
    std::vector<float> output(query.size(), NAN);
    const KeptKeys keys = {kept_key.data(), kept_value.data(), kept.data(),
                           static_cast<int64_t>(kept.size())};
    for (int64_t first = 0; first < num_tokens; first += slice) {
      const int64_t at = first * num_query_heads * head_dim;
      causal_attention_over_kept_cpu(num_query_heads, num_kv_heads, head_dim, query.data() + at, keys,
                                     std::min(slice, num_tokens - first),
                                     1.0f / std::sqrt(static_cast<float>(head_dim)), output.data() + at,
                                     first);
    }
    return output;
  }

  // sees(query, position, place among the kept ones)
  template <typename Sees>
  std::vector<double> oracle(Sees&& sees) const {
    std::vector<double> output(query.size());
    for (int64_t token = 0; token < num_tokens; ++token)
      for (int head = 0; head < num_query_heads; ++head) {
        const size_t base = static_cast<size_t>((token * num_query_heads + head) * head_dim);
        const int kv_head = head / (num_query_heads / num_kv_heads);
        double sum = 0;
        std::vector<double> total(static_cast<size_t>(head_dim));
        for (size_t place = 0; place < kept.size(); ++place) {
          if (!sees(token, kept[place], static_cast<int64_t>(place))) continue;
          const size_t at = static_cast<size_t>((kept[place] * num_kv_heads + kv_head) * head_dim);
          double dot = 0;
          for (int i = 0; i < head_dim; ++i)
            dot +=
                static_cast<double>(query[base + static_cast<size_t>(i)]) * key[at + static_cast<size_t>(i)];
          const double weight = std::exp(dot / std::sqrt(static_cast<double>(head_dim)));
          sum += weight;
          for (int i = 0; i < head_dim; ++i)
            total[static_cast<size_t>(i)] += weight * value[at + static_cast<size_t>(i)];
        }
        for (int i = 0; i < head_dim; ++i)
          output[base + static_cast<size_t>(i)] = total[static_cast<size_t>(i)] / sum;
      }
    return output;
  }
};

CutPrompt random_cut(int64_t num_tokens, int64_t num_kept, unsigned seed) {
  CutPrompt made{4, 2, 24, num_tokens, {}, {}, {}, {}};
  made.query = normal_floats(static_cast<size_t>(num_tokens * 4 * 24), seed);
  made.key = normal_floats(static_cast<size_t>(num_tokens * 2 * 24), seed + 1);
  made.value = normal_floats(static_cast<size_t>(num_tokens * 2 * 24), seed + 2);
  std::vector<int32_t> others;
  for (int32_t position = 1; position < num_tokens; ++position) others.push_back(position);
  std::shuffle(others.begin(), others.end(), std::mt19937(seed));
  made.kept = {0};
  made.kept.insert(made.kept.end(), others.begin(), others.begin() + num_kept - 1);
  std::sort(made.kept.begin(), made.kept.end());
  return made;
}

}  // namespace

TEST("equals dense attention with the dropped keys masked out, at lengths around the tiles") {
  for_each_simd_level([](const std::string& level) {
    double worst = 0;
    for (const int64_t num_tokens : {1, 2, 47, 49, 128, 200, 300})
      for (const double share : {0.01, 0.3, 0.7, 1.0}) {
        const auto num_kept =
            std::max<int64_t>(1, static_cast<int64_t>(share * static_cast<double>(num_tokens)));
        const CutPrompt made = random_cut(num_tokens, num_kept, static_cast<unsigned>(num_tokens));
        const std::vector<float> actual = made.run();
        const auto count = static_cast<int64_t>(actual.size());
        const auto expected =
            made.oracle([](int64_t query, int64_t position, int64_t) { return position <= query; });
        const Difference found = difference(actual.data(), expected.data(), count);
        REQUIRE(found.comparable && found.relative_l2 <= 1e-6 && found.max_absolute <= 1e-5);
        worst = std::max(worst, found.relative_l2);
        if (num_kept == num_tokens || num_kept < 10) continue;
        // The published code's mask, which takes a key's place for its position, and one that leaves out a
        // query's own position.
        const auto by_place =
            made.oracle([](int64_t query, int64_t, int64_t place) { return place <= query; });
        const auto before = made.oracle(
            [](int64_t query, int64_t position, int64_t place) { return position < query || place == 0; });
        REQUIRE(difference(actual.data(), by_place.data(), count).relative_l2 > 1e-3);
        REQUIRE(difference(actual.data(), before.data(), count).relative_l2 > 1e-3);
      }
    std::printf("     %-10s worst rel-L2 %.2e\n", level.c_str(), worst);
  });
}

TEST("a prompt of which all is kept attends bit for bit as one that was never cut") {
  const CutPrompt made = random_cut(150, 150, 5);
  std::vector<float> whole(made.query.size());
  causal_attention_cpu(4, 2, 24, made.query.data(), made.key.data(), made.value.data(), 150,
                       1.0f / std::sqrt(24.0f), whole.data());
  REQUIRE(whole == made.run());
}

TEST("a prompt that attends slice by slice has the bits of the whole, cut or not") {
  constexpr int64_t kTokens = 210, kSlice = 96;  // a multiple of a tile's queries
  REQUIRE(random_cut(kTokens, 60, 6).run(kSlice) == random_cut(kTokens, 60, 6).run());
  const CutPrompt made = random_cut(kTokens, kTokens, 6);
  std::vector<float> slices(made.query.size());
  for (int64_t first = 0; first < kTokens; first += kSlice)
    causal_attention_cpu(4, 2, 24, made.query.data() + first * 4 * 24, made.key.data(), made.value.data(),
                         std::min(kSlice, kTokens - first), 1.0f / std::sqrt(24.0f),
                         slices.data() + first * 4 * 24, first);
  REQUIRE(slices == made.run());
}
