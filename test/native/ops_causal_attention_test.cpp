// Prefill attention against a naive fp64 oracle.
#include <algorithm>
#include <chrono>

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

struct Input {
  Shape shape;
  int64_t num_tokens;
  float scale;
  std::vector<float> query, key, value;

  std::vector<float> run() const {
    std::vector<float> output(query.size() + 1, NAN);
    causal_attention_cpu(shape.num_query_heads, shape.num_kv_heads, shape.head_dim, query.data(), key.data(),
                         value.data(), num_tokens, scale, output.data());
    REQUIRE(std::isnan(output.back()));
    output.pop_back();
    std::vector<float> in_place = query;  // the output may be the queries' own memory
    causal_attention_cpu(shape.num_query_heads, shape.num_kv_heads, shape.head_dim, in_place.data(),
                         key.data(), value.data(), num_tokens, scale, in_place.data());
    REQUIRE(in_place == output ||
            std::any_of(output.begin(), output.end(), [](float x) { return std::isnan(x); }));
    return output;
  }
};

Input random_input(const Shape& shape, int64_t num_tokens, uint32_t seed, float query_size = 1.0f) {
  const size_t query_count = static_cast<size_t>(num_tokens * shape.num_query_heads * shape.head_dim);
  const size_t kv_count = static_cast<size_t>(num_tokens * shape.num_kv_heads * shape.head_dim);
  return {shape,
          num_tokens,
          1.0f / std::sqrt(static_cast<float>(shape.head_dim)),
          normal_floats(query_count, seed, query_size),
          normal_floats(kv_count, seed + 1),
          normal_floats(kv_count, seed + 2)};
}

// Sees `extra` keys beyond its own position: 0 is the definition, -1 and 1 are off by one.
std::vector<double> oracle(const Input& input, int extra = 0) {
  const auto& [num_query_heads, num_kv_heads, head_dim] = input.shape;
  std::vector<double> output(input.query.size());
  for (int64_t token = 0; token < input.num_tokens; ++token)
    for (int head = 0; head < num_query_heads; ++head) {
      const int kv_head = head / (num_query_heads / num_kv_heads);
      const int64_t visible = std::clamp<int64_t>(token + 1 + extra, 1, input.num_tokens);
      const auto at = [&](const std::vector<float>& kv, int64_t slot, int i) {
        return static_cast<double>(kv[static_cast<size_t>((slot * num_kv_heads + kv_head) * head_dim + i)]);
      };
      const size_t base = static_cast<size_t>((token * num_query_heads + head) * head_dim);
      std::vector<double> logits(static_cast<size_t>(visible));
      double maximum = -INFINITY, sum = 0;
      for (int64_t slot = 0; slot < visible; ++slot) {
        double dot = 0;
        for (int i = 0; i < head_dim; ++i)
          dot += input.query[base + static_cast<size_t>(i)] * at(input.key, slot, i);
        logits[static_cast<size_t>(slot)] = dot * input.scale;
        maximum = std::max(maximum, logits[static_cast<size_t>(slot)]);
      }
      for (double& logit : logits) sum += logit = std::exp(logit - maximum);
      for (int64_t slot = 0; slot < visible; ++slot)
        for (int i = 0; i < head_dim; ++i)
          output[base + static_cast<size_t>(i)] +=
              logits[static_cast<size_t>(slot)] / sum * at(input.value, slot, i);
    }
  return output;
}

}  // namespace

TEST("equals the oracle at lengths around the tiles, and off-by-one masks do not") {
  for_each_simd_level([](const std::string& level) {
    double worst = 0;
    for (const Shape& shape : {Shape{4, 2, 32}, Shape{3, 1, 64}, Shape{2, 2, 18}, Shape{2, 1, 80}})
      for (const int64_t num_tokens : {1, 2, 5, 47, 48, 49, 127, 128, 129, 200}) {
        const Input input = random_input(shape, num_tokens, 3);
        const std::vector<float> actual = input.run();
        const std::vector<double> expected = oracle(input);
        const int64_t count = static_cast<int64_t>(actual.size());
        const Difference found = difference(actual.data(), expected.data(), count);
        REQUIRE(found.comparable && found.relative_l2 <= 1e-6 && found.max_absolute <= 1e-5);
        worst = std::max(worst, found.relative_l2);
        if (num_tokens > 1)
          for (const int extra : {-1, 1})
            REQUIRE(difference(actual.data(), oracle(input, extra).data(), count).relative_l2 > 1e-3);
      }
    std::printf("     %-10s worst rel-L2 %.2e\n", level.c_str(), worst);
  });
}

TEST("large logits") {
  for_each_simd_level([](const std::string& level) {
    const Input input = random_input({4, 2, 32}, 150, 9, 40.0f);
    compare(level, input.run().data(), oracle(input).data(), static_cast<int64_t>(input.query.size()), 1e-5,
            1e-4);
  });
}

TEST("the first token's output is its value, and a later token changes nothing before it") {
  const Input input = random_input({4, 2, 32}, 140, 12);
  Input changed = input;
  for (size_t i = 139 * 64; i < 140 * 64; ++i) changed.key[i] = changed.value[i] = 1e6f;
  const std::vector<float> before = input.run(), after = changed.run();
  REQUIRE(std::memcmp(before.data(), after.data(), 139 * 128 * sizeof(float)) == 0);
  for (int head = 0; head < 4; ++head)
    for (int i = 0; i < 32; ++i)
      REQUIRE_EQUAL(before[static_cast<size_t>(head * 32 + i)],
                    input.value[static_cast<size_t>(head / 2 * 32 + i)]);
}

TEST("results do not depend on the number of threads") {
  ThreadPool& pool = ThreadPool::shared();
  const int before = pool.num_threads();
  const Input input = random_input({4, 2, 32}, 200, 15);
  std::vector<float> reference;
  for (const int threads : {1, 2, 3, 6}) {
    pool.resize(threads);
    const std::vector<float> output = input.run();
    if (reference.empty()) reference = output;
    REQUIRE(std::memcmp(reference.data(), output.data(), output.size() * sizeof(float)) == 0);
  }
  pool.resize(before);
}

TEST("speed at 2048 tokens (printed, not judged)") {
  const Input input = random_input({12, 4, 64}, 2048, 20);
  double best = 1e9;
  for (int repeat = 0; repeat < 3; ++repeat) {
    const auto started = std::chrono::steady_clock::now();
    input.run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
  }
  std::printf("     2048 tokens, 12 heads of 64: %.1f ms, %.0f GFLOP/s\n", best * 1e3,
              2.0 * 2048 * 2048 * 64 * 12 / best / 1e9);
}
