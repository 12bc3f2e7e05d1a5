// Paged attention over bf16 and f16 caches: equal to the fp64 oracle of the rounded numbers, near that of the
// numbers before rounding, and nowhere near a mutant.
#include <algorithm>

#include "core/half.h"
#include "core/thread_pool.h"
#include "helpers.h"
#include "narrow_numbers.h"
#include "ops/paged_attention.h"
#include "paged_oracle.h"
#include "test.h"

using namespace octavo;
using namespace octavo::test;

namespace {

// A case whose caches hold 16-bit words; `exact` has the same numbers in fp32.
struct NarrowCase {
  PagedCase exact;
  std::vector<uint16_t> keys, values;

  std::vector<float> run() const {
    std::vector<float> output(exact.query.size(), NAN);
    paged_attention_cpu(exact.shape, exact.query.data(),
                        {.key_cache = keys.data(),
                         .value_cache = values.data(),
                         .block_table = exact.table.data(),
                         .kv_len = exact.kv_len},
                        exact.scale, output.data());
    return output;
  }
};

NarrowCase narrowed(PagedCase input, DType dtype) {
  input.shape.kv_dtype = dtype;
  NarrowCase result{input, {}, {}};
  result.keys = narrow(result.exact.keys, dtype);
  result.values = narrow(result.exact.values, dtype);
  return result;
}

double limit_of(DType dtype) { return dtype == DType::kBf16 ? 4e-3 : 5e-4; }

double relative_l2(const std::vector<float>& actual, const std::vector<double>& expected) {
  const Difference found = difference(actual.data(), expected.data(), static_cast<int64_t>(actual.size()));
  return found.comparable ? found.relative_l2 : INFINITY;
}

const std::vector<PagedAttentionShape> kShapes = {{4, 2, 32, 16},  {12, 4, 64, 16}, {6, 2, 40, 8},
                                                  {8, 1, 128, 32}, {3, 3, 18, 1},   {10, 2, 6, 5},
                                                  {6, 2, 96, 16},  {3, 1, 128, 16}};

}  // namespace

TEST("equals the oracle of the rounded numbers and is near that of the numbers before") {
  for_each_simd_level([](const std::string& level) {
    for (const DType dtype : {DType::kBf16, DType::kF16}) {
      double worst = 0, worst_rounding = 0;
      uint32_t seed = 1;
      for (const PagedAttentionShape& shape : kShapes)
        for (const int64_t kv_len : {1, 7, 16, 17, 31, 33, 255, 256, 257, 513, 1300}) {
          ++seed;
          const PagedCase before = paged_case(shape, kv_len, seed, seed);
          const NarrowCase input = narrowed(before, dtype);
          const std::vector<float> output = input.run();
          const std::vector<double> of_rounded = paged_oracle(input.exact), exact = paged_oracle(before);
          const auto count = static_cast<int64_t>(output.size());
          worst = std::max(worst, relative_l2(output, of_rounded));
          // What rounding the inputs costs any op, by which this one's error is judged.
          const double naive = difference(of_rounded.data(), exact.data(), count).max_absolute;
          const double own = difference(output.data(), exact.data(), count).max_absolute;
          REQUIRE(own <= 2 * naive + 1e-5);
          worst_rounding = std::max(worst_rounding, relative_l2(output, exact));
        }
      std::printf("     %-9s %-5s worst rel-L2 %.2e from rounded, %.2e from before\n", level.c_str(),
                  dtype_name(dtype), worst, worst_rounding);
      REQUIRE(worst <= 1e-6);
      REQUIRE(worst_rounding > limit_of(dtype) / 100);
    }
  });
}

TEST("mutants fail the tolerances") {
  for (const DType dtype : {DType::kBf16, DType::kF16})
    for (const Mutant mutant : {Mutant::kMeanOfValues, Mutant::kZeros, Mutant::kDropLastBlock,
                                Mutant::kSwapTwoBlocksValues, Mutant::kIgnoreGrouping, Mutant::kOneSlotShort})
      for (const int64_t kv_len : {33, 48}) {
        const PagedCase before = paged_case(kShapes[1], kv_len, 50, 51);
        const std::vector<float> output = narrowed(before, dtype).run();
        REQUIRE(relative_l2(output, paged_oracle(before)) <= limit_of(dtype));
        REQUIRE(relative_l2(output, paged_oracle(before, mutant)) > limit_of(dtype));
      }
}

TEST("equal values come back to the last places of fp32") {
  for_each_simd_level([](const std::string&) {
    for (const DType dtype : {DType::kBf16, DType::kF16})
      for (const int64_t kv_len : {1, 17, 513}) {
        PagedCase before = paged_case(kShapes[1], kv_len, 8, 9);
        const std::vector<float> constant = normal_floats(64, 10);
        for (int64_t slot = 0; slot < kv_len; ++slot)
          for (int head = 0; head < 4; ++head)
            std::copy(constant.begin(), constant.end(), before.value(slot, head));
        NarrowCase input = narrowed(before, dtype);
        const std::vector<float> output = input.run();
        const float* expected = input.exact.value(0, 0);
        for (size_t i = 0; i < output.size(); ++i)
          REQUIRE(std::fabs(output[i] - expected[i % 64]) <= 4e-7F * std::fabs(expected[i % 64]));
      }
  });
}

TEST("placement of blocks, block size and number of threads do not change a bit") {
  ThreadPool& pool = ThreadPool::shared();
  const int before = pool.num_threads();
  for (const DType dtype : {DType::kBf16, DType::kF16})
    for (const int64_t kv_len : {33, 255, 1000}) {
      std::vector<float> reference;
      for (const int block_size : {16, 1, 8, 7})
        for (const uint32_t placement : {1, 2, 3}) {
          pool.resize(static_cast<int>(placement));
          const std::vector<float> output =
              narrowed(paged_case({6, 2, 64, block_size}, kv_len, 40, placement), dtype).run();
          if (reference.empty()) reference = output;
          REQUIRE(std::memcmp(reference.data(), output.data(), output.size() * sizeof(float)) == 0);
        }
    }
  pool.resize(before);
}

TEST("integer caches are refused") {
  PagedCase input = paged_case(kShapes[0], 5, 1, 1);
  input.shape.kv_dtype = DType::kI32;
  REQUIRE_ERROR("ERR_OCTAVO_DTYPE", input.run());
}
