// Paged attention against a naive fp64 oracle: inputs that a fault would show in, at lengths around block
// borders. Tolerances: rel-L2 1e-6, largest absolute error 1e-5; mutants of the oracle must fail them.
#include <algorithm>
#include <chrono>

#include "core/slot_bits.h"
#include "core/thread_pool.h"
#include "helpers.h"
#include "ops/paged_attention.h"
#include "paged_oracle.h"
#include "test.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr double kMaxRelativeL2 = 1e-6;
constexpr double kMaxAbsolute = 1e-5;

const std::vector<PagedAttentionShape> kShapes = {{4, 2, 32, 16},  {12, 4, 64, 16}, {6, 2, 40, 8},
                                                  {8, 1, 128, 32}, {3, 3, 18, 1},   {10, 2, 6, 5},
                                                  {6, 2, 96, 16},  {3, 1, 128, 16}};

std::vector<int64_t> lengths(int block_size) {
  std::vector<int64_t> result = {1, block_size - 1, block_size, block_size + 1, 255, 256, 257, 511, 512, 513};
  std::erase(result, 0);
  return result;
}

bool within_tolerance(const std::vector<float>& actual, const std::vector<double>& expected) {
  const Difference found = difference(actual.data(), expected.data(), static_cast<int64_t>(actual.size()));
  return found.comparable && found.relative_l2 <= kMaxRelativeL2 && found.max_absolute <= kMaxAbsolute;
}

struct Worst {
  double relative_l2 = 0, max_absolute = 0;
  void check(const PagedCase& input, const std::string& what) {
    const std::vector<float> actual = input.run();
    const std::vector<double> expected = paged_oracle(input);
    const Difference found = difference(actual.data(), expected.data(), static_cast<int64_t>(actual.size()));
    relative_l2 = std::max(relative_l2, found.relative_l2);
    max_absolute = std::max(max_absolute, found.max_absolute);
    if (!within_tolerance(actual, expected))
      fail(__FILE__, __LINE__,
           what + ", kv_len " + std::to_string(input.kv_len) + ", block size " +
               std::to_string(input.shape.block_size) + ", head_dim " + std::to_string(input.shape.head_dim) +
               ": rel-L2 " + std::to_string(found.relative_l2) + ", max abs " +
               std::to_string(found.max_absolute));
  }
  void print(const std::string& what) const {
    std::printf("     %-40s worst rel-L2 %.2e  max abs %.2e\n", what.c_str(), relative_l2, max_absolute);
  }
};

// Every query head of a group looks at one slot: q = 4 · key.
void peak_at(PagedCase& input, int64_t slot) {
  const int group = input.shape.num_query_heads / input.shape.num_kv_heads;
  for (int head = 0; head < input.shape.num_query_heads; ++head)
    for (int i = 0; i < input.shape.head_dim; ++i)
      input.query_of(head)[i] = 4 * input.key(slot, head / group)[i];
}

}  // namespace

TEST("normal inputs, with NaN in every dead slot and free block") {
  for_each_simd_level([](const std::string& level) {
    Worst worst;
    uint32_t seed = 1;
    for (const PagedAttentionShape& shape : kShapes)
      for (const int64_t kv_len : lengths(shape.block_size)) {
        ++seed;
        worst.check(paged_case(shape, kv_len, seed, seed), "normal");
      }
    worst.check(paged_case({4, 2, 64, 16}, 4095, seed, seed), "normal");
    worst.print(level);
  });
}

TEST("peaked at the first, middle and last slot and at both sides of every block border") {
  for_each_simd_level([](const std::string& level) {
    Worst worst;
    for (const PagedAttentionShape& shape : {kShapes[0], kShapes[1], kShapes[3]})
      for (const int64_t kv_len : {shape.block_size + 1, 3 * shape.block_size, 300}) {
        std::vector<int64_t> slots = {0, kv_len / 2, kv_len - 1};
        for (int64_t border = shape.block_size; border < kv_len; border += shape.block_size) {
          slots.push_back(border - 1);
          slots.push_back(border);
        }
        PagedCase input = paged_case(shape, kv_len, 5, 6);
        for (const int64_t slot : slots) {
          peak_at(input, slot);
          worst.check(input, "peak at " + std::to_string(slot));
        }
      }
    worst.print(level);
  });
}

TEST("equal values come back exactly, to one unit in the last place") {
  for_each_simd_level([](const std::string&) {
    for (const PagedAttentionShape& shape : kShapes)
      for (const int64_t kv_len : {int64_t{1}, int64_t{shape.block_size + 1}, int64_t{513}, int64_t{4095}}) {
        PagedCase input = paged_case(shape, kv_len, 8, 9);
        const std::vector<float> constant = normal_floats(static_cast<size_t>(shape.head_dim), 10);
        for (int64_t slot = 0; slot < kv_len; ++slot)
          for (int head = 0; head < shape.num_kv_heads; ++head)
            std::copy(constant.begin(), constant.end(), input.value(slot, head));
        const std::vector<float> output = input.run();
        for (size_t i = 0; i < output.size(); ++i) {
          const float expected = constant[i % constant.size()];
          REQUIRE(output[i] >= std::nextafter(expected, -INFINITY) &&
                  output[i] <= std::nextafter(expected, INFINITY));
        }
      }
  });
}

TEST("extreme logits of about 5e5 neither overflow nor vanish") {
  for_each_simd_level([](const std::string& level) {
    Worst worst;
    for (const PagedAttentionShape& shape : {kShapes[0], kShapes[1], kShapes[2]})
      for (const int64_t kv_len : lengths(shape.block_size)) {
        PagedCase input = paged_case(shape, kv_len, 20, 21);
        for (int head = 0; head < shape.num_kv_heads; ++head)
          for (int64_t slot = 0; slot < kv_len; ++slot) {
            // Logits ±5e5 and 0, one slot a little above its equals: a difference that fp32 holds exactly.
            float* key = input.key(slot, head);
            std::fill_n(key, shape.head_dim, 0.0f);
            key[0] = slot % 3 == 0 ? 1000.0f : slot % 3 == 1 ? -1000.0f : 0.0f;
            key[1] = slot == kv_len / 2 / 3 * 3 ? 2.0f : 0.0f;
          }
        for (int head = 0; head < shape.num_query_heads; ++head) {
          std::fill_n(input.query_of(head), shape.head_dim, 0.0f);
          input.query_of(head)[0] = 500.0f;
          input.query_of(head)[1] = 1.0f;
        }
        input.scale = 1.0f;
        worst.check(input, "extreme");
        for (int head = 0; head < shape.num_query_heads; ++head) input.query_of(head)[0] = -500.0f;
        worst.check(input, "extreme, negative");
      }
    worst.print(level);
  });
}

TEST("subnormal keys, queries and values") {
  for_each_simd_level([](const std::string&) {
    for (const PagedAttentionShape& shape : {kShapes[0], kShapes[4]}) {
      PagedCase input = paged_case(shape, 2 * shape.block_size + 1, 30, 31);
      for (float& element : input.keys) element *= 1e-40f;
      for (float& element : input.values) element *= 1e-40f;
      for (float& element : input.query) element *= 1e-40f;
      const std::vector<float> output = input.run();
      const std::vector<double> expected = paged_oracle(input);
      for (size_t i = 0; i < output.size(); ++i) {
        REQUIRE(std::isfinite(output[i]));
        REQUIRE(std::fabs(output[i] - expected[i]) <= 2e-45);  // within about one unit of the subnormal range
      }
      REQUIRE(std::any_of(output.begin(), output.end(), [](float element) { return element != 0; }));
    }
  });
}

TEST("a NaN in a live key or value reaches the output") {
  for_each_simd_level([](const std::string&) {
    for (const bool in_key : {true, false}) {
      PagedCase input = paged_case(kShapes[0], 40, 32, 33);
      (in_key ? input.key(17, 1) : input.value(17, 1))[3] = NAN;
      const std::vector<float> output = input.run();
      const size_t half = output.size() / 2;  // heads of the other KV head are untouched
      for (size_t i = 0; i < half; ++i) REQUIRE(std::isfinite(output[i]));
      REQUIRE(std::isnan(output[half + 3]));
    }
  });
}

TEST("placement of blocks, block size and number of threads do not change a bit") {
  ThreadPool& pool = ThreadPool::shared();
  const int before = pool.num_threads();
  for_each_simd_level([&](const std::string&) {
    for (const int64_t kv_len : {33, 255, 1000}) {
      std::vector<float> reference;
      for (const int block_size : {16, 1, 8, 32, 7})
        for (const uint32_t placement : {1, 2, 3}) {
          pool.resize(static_cast<int>(placement));
          const std::vector<float> output = paged_case({6, 2, 64, block_size}, kv_len, 40, placement).run();
          if (reference.empty()) reference = output;
          REQUIRE(std::memcmp(reference.data(), output.data(), output.size() * sizeof(float)) == 0);
        }
    }
  });
  pool.resize(before);
}

TEST("mutants fail the tolerances") {
  const std::vector<std::pair<Mutant, const char*>> mutants = {
      {Mutant::kMeanOfValues, "mean of values"},
      {Mutant::kZeros, "zeros"},
      {Mutant::kDropLastBlock, "last block gone"},
      {Mutant::kSwapTwoBlocksValues, "two blocks' values swapped"},
      {Mutant::kIgnoreGrouping, "grouping ignored"},
      {Mutant::kOneSlotShort, "one slot short"}};
  for (const auto& [mutant, name] : mutants)
    for (const PagedAttentionShape& shape : {kShapes[0], kShapes[1], kShapes[2]})
      for (const int64_t kv_len :
           {int64_t{2} * shape.block_size, int64_t{2} * shape.block_size + 1, int64_t{513}}) {
        const PagedCase input = paged_case(shape, kv_len, 50, 51);
        const std::vector<float> output = input.run();
        REQUIRE(within_tolerance(output, paged_oracle(input)));
        if (within_tolerance(output, paged_oracle(input, mutant)))
          fail(__FILE__, __LINE__,
               std::string("the mutant \"") + name + "\" passes at kv_len " + std::to_string(kv_len));
      }
}

TEST("speed at a context of 4096 (printed, not judged)") {
  const PagedCase input = paged_case({12, 4, 64, 16}, 4096, 60, 61);
  // Twelve layers' worth of cache, so that no cache level holds it.
  std::vector<PagedCase> layers(12, input);
  double best = 1e9;
  std::vector<float> output(input.query.size());
  for (int repeat = 0; repeat < 8; ++repeat) {
    const auto started = std::chrono::steady_clock::now();
    for (const PagedCase& layer : layers)
      paged_attention_cpu(layer.shape, layer.query.data(), layer.cached(), layer.scale, output.data());
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
  }
  const double bytes = 12.0 * 2 * 4096 * 4 * 64 * sizeof(float);
  std::printf("     12 layers of 4096 x 4 x 64: %.2f ms, %.1f GB/s\n", best * 1e3, bytes / best / 1e9);
}

TEST("holes are left out: attention equals that over the live slots alone, and nothing of a hole is read") {
  for_each_simd_level([](const std::string&) {
    std::mt19937 random(31);
    for (const int head_dim : {24, 64, 128})
      for (const int block_size : {1, 4, 16, 80, 256}) {
        for (const int64_t kv_len : {1, 15, 33, 257, 511, 1500}) {
          for (const unsigned share : {2U, 10U, 100U}) {
            PagedCase input = paged_case({6, 2, head_dim, block_size}, kv_len, 5, 6);
            const int words = slot_words(block_size);
            std::vector<uint64_t> dead(static_cast<size_t>(input.num_table_blocks() * words));
            std::vector<int64_t> live;
            for (int64_t slot = 0; slot < kv_len; ++slot) {
              // Runs of dead slots that are longer than a split of the work too.
              if (slot != kv_len - 1 && (random() % share != 0 || (slot > 100 && slot < 700))) {
                dead[static_cast<size_t>(slot / block_size * words + slot % block_size / 64)] |=
                    uint64_t{1} << (slot % block_size % 64);
                for (int head = 0; head < 2; ++head) {
                  std::fill_n(input.key(slot, head), head_dim, NAN);
                  std::fill_n(input.value(slot, head), head_dim, NAN);
                }
              } else {
                live.push_back(slot);
              }
            }
            PagedCase packed =
                paged_case({6, 2, head_dim, block_size}, static_cast<int64_t>(live.size()), 5, 6);
            packed.query = input.query;
            for (size_t i = 0; i < live.size(); ++i)
              for (int head = 0; head < 2; ++head) {
                std::copy_n(input.key(live[i], head), head_dim, packed.key(static_cast<int64_t>(i), head));
                std::copy_n(input.value(live[i], head), head_dim,
                            packed.value(static_cast<int64_t>(i), head));
              }
            const std::vector<double> expected = paged_oracle(packed);
            std::vector<float> output(input.query.size(), NAN);
            paged_attention_cpu(input.shape, input.query.data(), input.cached(dead.data()), input.scale,
                                output.data());
            const auto count = static_cast<int64_t>(output.size());
            const Difference found = difference(output.data(), expected.data(), count);
            REQUIRE(found.comparable && found.relative_l2 <= 1e-6);
          }
        }
      }
  });
}
