// Matrix products against a naive fp64 oracle that widens 16-bit weights by its own arithmetic.
#include <array>
#include <chrono>

#include "core/build_info.h"
#include "core/half.h"
#include "core/thread_pool.h"
#include "helpers.h"
#include "ops/gemm.h"
#include "ops/gemm_bf16.h"
#include "ops/gemv_simd.h"
#include "test.h"

using namespace octavo;
using namespace octavo::test;

namespace {

// By the definition of the formats: sign, exponent, fraction.
double decode(uint16_t bits, int exponent_bits, int fraction_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const double fraction = (bits & ((1 << fraction_bits) - 1)) / std::pow(2.0, fraction_bits);
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1 + fraction, exponent - bias);
  return bits >> 15 ? -magnitude : magnitude;
}

struct Weights {
  Tensor tensor;
  std::vector<double> exact;
};

Weights random_weights(DType dtype, int64_t out, int64_t in, uint32_t seed) {
  const std::vector<float> values = normal_floats(static_cast<size_t>(out * in), seed);
  Weights weights{Tensor::zeros(dtype, {out, in}), std::vector<double>(values.size())};
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::kF32) {
      weights.tensor.f32()[i] = values[i];
      weights.exact[i] = values[i];
      continue;
    }
    // Some tiny numbers, so that subnormal f16 is widened too.
    const float value = i % 7 == 0 ? values[i] * 1e-6f : values[i];
    const uint16_t bits = dtype == DType::kBf16 ? narrow_to_bf16(value) : narrow_to_f16(value);
    static_cast<uint16_t*>(weights.tensor.data)[i] = bits;
    weights.exact[i] = dtype == DType::kBf16 ? decode(bits, 8, 7) : decode(bits, 5, 10);
  }
  return weights;
}

std::vector<double> oracle(const std::vector<float>& input, const Weights& weights, int64_t rows) {
  const int64_t out = weights.tensor.shape[0], in = weights.tensor.shape[1];
  std::vector<double> result(static_cast<size_t>(rows * out));
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < out; ++column)
      for (int64_t k = 0; k < in; ++k)
        result[static_cast<size_t>(row * out + column)] +=
            static_cast<double>(input[static_cast<size_t>(row * in + k)]) *
            weights.exact[static_cast<size_t>(column * in + k)];
  return result;
}

using Product = void (*)(const float*, const Tensor&, int64_t, float*);

void check_product(const std::string& what, Product product) {
  const Product chosen = gemm_cpu;
  // Odd sizes around vectors, panels, row groups and the depth of a pass.
  const std::vector<std::array<int64_t, 3>> shapes = {{1, 1, 1},    {1, 3, 5},     {1, 130, 257},
                                                      {1, 64, 768}, {2, 65, 31},   {5, 7, 513},
                                                      {7, 129, 64}, {13, 64, 300}, {385, 33, 40}};
  for (const DType dtype : {DType::kF32, DType::kBf16, DType::kF16}) {
    double worst = 0;
    for (const auto& [rows, out, in] : shapes) {
      const std::vector<float> input = normal_floats(static_cast<size_t>(rows * in), 11);
      const Weights weights = random_weights(dtype, out, in, 12);
      const std::vector<double> expected = oracle(input, weights, rows);
      std::vector<float> output(expected.size() + 1, NAN);
      product(input.data(), weights.tensor, rows, output.data());
      REQUIRE(std::isnan(output.back()));  // nothing written past the end
      if (dtype == DType::kBf16 && product == chosen && rows >= kMinRowsForBf16 &&
          simd_level() == best_simd_level() && has_fast_bf16_products())
        continue;  // rounds its input: a test of its own
      const Difference found =
          difference(output.data(), expected.data(), static_cast<int64_t>(expected.size()));
      REQUIRE(found.comparable);
      worst = std::max(worst, found.relative_l2);
    }
    std::printf("     %-40s %-5s worst rel-L2 %.2e\n", what.c_str(), dtype_name(dtype), worst);
    REQUIRE(worst <= 1e-6);
    REQUIRE(worst > 0);
  }
}

}  // namespace

TEST("gemm equals the oracle for every weight type and instruction set") {
  for_each_simd_level(
      [](const std::string& level) { check_product(std::string("gemm ") + level, gemm_cpu); });
}

TEST("the product in bf16 is that of its input rounded to bf16") {
  if (!has_fast_bf16_products()) {
    std::printf("     skipped: no fast bf16 products on this machine\n");
    return;
  }
  // Around the rows from which it is taken, the rows and columns of a task, and odd depths.
  const std::vector<std::array<int64_t, 3>> shapes = {
      {15, 40, 33}, {16, 5, 7}, {17, 257, 65}, {64, 1, 768}, {513, 300, 9}, {600, 511, 130}, {2, 64, 64}};
  for (const auto& [rows, out, in] : shapes) {
    std::vector<float> input = normal_floats(static_cast<size_t>(rows * in), 21);
    const Weights weights = random_weights(DType::kBf16, out, in, 22);
    const std::vector<double> exact = oracle(input, weights, rows);
    std::vector<float> output(exact.size() + 1, NAN);
    gemm_cpu(input.data(), weights.tensor, rows, output.data());
    REQUIRE(std::isnan(output.back()));
    const Difference from_exact = difference(output.data(), exact.data(), rows * out);
    for (float& number : input) number = static_cast<float>(decode(narrow_to_bf16(number), 8, 7));
    const std::vector<double> rounded = oracle(input, weights, rows);
    const Difference from_rounded = difference(output.data(), rounded.data(), rows * out);
    std::printf("     %4d x %4d x %4d rel-L2: %.2e from exact, %.2e from rounded\n", static_cast<int>(rows),
                static_cast<int>(out), static_cast<int>(in), from_exact.relative_l2,
                from_rounded.relative_l2);
    const bool rounds = rows >= kMinRowsForBf16;
    REQUIRE((rounds ? from_rounded : from_exact).relative_l2 <= 1e-6);
    REQUIRE(from_exact.relative_l2 <= 4e-3);
    REQUIRE((rounds ? from_exact : from_rounded).relative_l2 > 1e-4);
  }
}

TEST("several products of one input have the bits of one after another, of one type and of several") {
  for (const auto& [rows, types] :
       std::vector<std::pair<int64_t, std::array<DType, 2>>>{{1, {DType::kBf16, DType::kBf16}},
                                                             {40, {DType::kBf16, DType::kBf16}},
                                                             {40, {DType::kF32, DType::kF16}},
                                                             {40, {DType::kBf16, DType::kF32}}}) {
    const std::vector<float> input = normal_floats(static_cast<size_t>(rows * 129), 51);
    const Weights first = random_weights(types[0], 130, 129, 52);
    const Weights second = random_weights(types[1], 70, 129, 53);
    std::vector<float> alone(static_cast<size_t>(rows * 130 + 1), NAN), together = alone;
    std::vector<float> second_alone(static_cast<size_t>(rows * 70 + 1), NAN), second_together = second_alone;
    gemm_cpu(input.data(), first.tensor, rows, alone.data());
    gemm_cpu(input.data(), second.tensor, rows, second_alone.data());
    gemm_cpu(input.data(), {{&first.tensor, together.data()}, {&second.tensor, second_together.data()}},
             rows);
    REQUIRE(std::memcmp(together.data(), alone.data(), alone.size() * sizeof(float)) == 0);
    REQUIRE(std::memcmp(second_together.data(), second_alone.data(), second_alone.size() * sizeof(float)) ==
            0);
  }
}

TEST("activations are rounded to bf16 by the rule, in every place of a vector") {
  for_each_simd_level([](const std::string& level) {
    std::vector<float> numbers = normal_floats(1003, 31);
    const float special[] = {INFINITY, -INFINITY, NAN,      0.0f,      -0.0f,
                             1e-40f,   3.4e38f,   -3.4e38f, 0x1.01p0f, 0x1.03p0f};
    for (size_t i = 0; i < std::size(special); ++i) numbers[i * 97 + i] = special[i];
    std::vector<uint16_t> rounded(numbers.size() + 1, 0xBEEF);
    OCTAVO_PICK_SIMD(gemv_kernels)
        .narrow_bf16(numbers.data(), static_cast<int64_t>(numbers.size()), rounded.data());
    for (size_t i = 0; i < numbers.size(); ++i) REQUIRE_EQUAL(rounded[i], narrow_to_bf16(numbers[i]));
    REQUIRE_EQUAL(rounded.back(), 0xBEEF);
    std::printf("     %s\n", level.c_str());
  });
}

TEST("the plain product equals the oracle for every weight type and instruction set") {
  for_each_simd_level([](const std::string& level) { check_product("plain " + level, gemm_plain_cpu); });
}

TEST("widening is exact for every 16-bit number") {
  for_each_simd_level([](const std::string& level) {
    for (const DType dtype : {DType::kBf16, DType::kF16}) {
      constexpr int64_t kCount = 65536;
      // One column and an input of 1: each output is one weight.
      Tensor weight = Tensor::zeros(dtype, {kCount, 1});
      for (int64_t i = 0; i < kCount; ++i) static_cast<uint16_t*>(weight.data)[i] = static_cast<uint16_t>(i);
      Tensor wide = weight;  // vectors of them: 16 columns of which an input selects one
      wide.shape = {kCount / 64, 64};
      const float one = 1.0f;
      std::vector<float> output(kCount, NAN);
      gemv_cpu(&one, weight, output.data());
      const int exponent_bits = dtype == DType::kBf16 ? 8 : 5, fraction_bits = 15 - exponent_bits;
      for (int64_t i = 0; i < kCount; ++i) {
        const int exponent = (i >> fraction_bits) & ((1 << exponent_bits) - 1);
        if (exponent == (1 << exponent_bits) - 1) {
          REQUIRE(!std::isfinite(output[static_cast<size_t>(i)]));
          REQUIRE_EQUAL(static_cast<bool>(std::isnan(output[static_cast<size_t>(i)])),
                        (i & ((1 << fraction_bits) - 1)) != 0);
        } else {
          REQUIRE_EQUAL(static_cast<double>(output[static_cast<size_t>(i)]),
                        decode(static_cast<uint16_t>(i), exponent_bits, fraction_bits));
        }
      }
      for (int column = 0; column < 64; column += 9) {
        std::vector<float> selector(64, 0.0f);
        selector[static_cast<size_t>(column)] = 1.0f;
        std::vector<float> selected(kCount / 64, NAN);
        gemv_cpu(selector.data(), wide, selected.data());
        for (int64_t row = 0; row < kCount / 64; ++row) {
          const uint16_t bits = static_cast<uint16_t>(row * 64 + column);
          const int exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1);
          const int row_exponent =
              (static_cast<uint16_t>(row * 64) >> fraction_bits) & ((1 << exponent_bits) - 1);
          if (exponent == (1 << exponent_bits) - 1 || row_exponent == (1 << exponent_bits) - 1) continue;
          REQUIRE_EQUAL(static_cast<double>(selected[static_cast<size_t>(row)]),
                        decode(bits, exponent_bits, fraction_bits));
        }
      }
    }
    std::printf("     %s\n", level.c_str());
  });
}

TEST("results do not depend on the number of threads") {
  ThreadPool& pool = ThreadPool::shared();
  const int before = pool.num_threads();
  for (const auto& [rows, dtype] : {std::pair{1, DType::kF32}, {300, DType::kF32}, {300, DType::kBf16}}) {
    const std::vector<float> input = normal_floats(static_cast<size_t>(rows * 200), 3);
    const Weights weights = random_weights(dtype, 517, 200, 4);
    for (const Product product : {Product{gemm_cpu}, Product{gemm_plain_cpu}}) {
      std::vector<float> reference;
      for (const int threads : {1, 2, 3, 5}) {
        pool.resize(threads);
        std::vector<float> output(static_cast<size_t>(rows * 517), NAN);
        product(input.data(), weights.tensor, rows, output.data());
        if (reference.empty()) reference = output;
        REQUIRE(std::memcmp(reference.data(), output.data(), output.size() * sizeof(float)) == 0);
      }
    }
  }
  pool.resize(before);
}

TEST("a row among others has the bits that it has alone, for every weight type and instruction set") {
  for_each_simd_level([](const std::string& level) {
    for (const DType dtype : {DType::kF32, DType::kBf16, DType::kF16}) {
      for (const auto& [out, in] :
           {std::pair<int64_t, int64_t>{1, 1}, {7, 5}, {65, 31}, {130, 257}, {33, 768}}) {
        const Weights weights = random_weights(dtype, out, in, 41);
        for (const int64_t rows : {1, 2, 3, 4, 5, 8, 13}) {
          const std::vector<float> inputs = normal_floats(static_cast<size_t>(rows * in), 42);
          std::vector<float> together(static_cast<size_t>(rows * out + 1), NAN);
          gemv_many_cpu(inputs.data(), weights.tensor, rows, together.data());
          REQUIRE(std::isnan(together.back()));
          for (int64_t row = 0; row < rows; ++row) {
            std::vector<float> alone(static_cast<size_t>(out), NAN);
            gemv_cpu(inputs.data() + row * in, weights.tensor, alone.data());
            REQUIRE(std::memcmp(alone.data(), together.data() + row * out, alone.size() * sizeof(float)) ==
                    0);
          }
        }
      }
    }
    std::printf("     %s\n", level.c_str());
  });
}

TEST("several products of one input at once are those of one at a time, to the bit") {
  for_each_simd_level([](const std::string&) {
    for (const int64_t in : {1, 63, 300, 768}) {
      const std::vector<float> input = normal_floats(static_cast<size_t>(in), 41);
      // Types and sizes mixed; the first is smaller than a chunk, the second has several and a rest.
      const Weights first = random_weights(DType::kF32, 3, in, 42);
      const Weights second = random_weights(DType::kBf16, 1001, in, 43);
      const Weights third = random_weights(DType::kF16, 130, in, 44);
      std::vector<float> together(3 + 1001 + 130 + 1, NAN);
      gemv_cpu(input.data(), {{&first.tensor, together.data()},
                              {&second.tensor, together.data() + 3},
                              {&third.tensor, together.data() + 1004}});
      REQUIRE(std::isnan(together.back()));
      size_t place = 0;
      for (const Weights* weights : {&first, &second, &third}) {
        std::vector<float> alone(static_cast<size_t>(weights->tensor.shape[0]), NAN);
        gemv_cpu(input.data(), weights->tensor, alone.data());
        REQUIRE(std::memcmp(alone.data(), together.data() + place, alone.size() * sizeof(float)) == 0);
        place += alone.size();
        const std::vector<double> expected = oracle(input, *weights, 1);
        REQUIRE(difference(alone.data(), expected.data(), static_cast<int64_t>(alone.size())).relative_l2 <=
                1e-6);
      }
    }
  });
}

TEST("integer weights are refused") {
  const Tensor weight = Tensor::zeros(DType::kI32, {4, 4});
  const std::vector<float> input(8);
  std::vector<float> output(8);
  REQUIRE_ERROR("ERR_OCTAVO_DTYPE", gemm_cpu(input.data(), weight, 1, output.data()));
  REQUIRE_ERROR("ERR_OCTAVO_DTYPE", gemm_cpu(input.data(), weight, 2, output.data()));
  REQUIRE_ERROR("ERR_OCTAVO_DTYPE", gemv_many_cpu(input.data(), weight, 2, output.data()));
}

TEST("speed of a row among others (printed, not judged)") {
  // Larger than the caches, as a model's weights are.
  const Tensor weight = Tensor::zeros(DType::kF32, {65536, 768});
  std::fill_n(weight.f32(), weight.num_elements(), 0.5F);
  for (const int64_t rows : {1, 2, 4, 8, 16}) {
    const std::vector<float> inputs = normal_floats(static_cast<size_t>(rows * 768), 5);
    std::vector<float> outputs(static_cast<size_t>(rows * 65536));
    double best = 1e9;
    for (int repeat = 0; repeat < 5; ++repeat) {
      const auto started = std::chrono::steady_clock::now();
      gemv_many_cpu(inputs.data(), weight, rows, outputs.data());
      best =
          std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
    }
    std::printf("     %2d rows: %.2f ms a row\n", static_cast<int>(rows),
                best * 1e3 / static_cast<double>(rows));
  }
}

TEST("speed of the large products (printed, not judged)") {
  const std::vector<float> input = normal_floats(512 * 768, 5);
  const Weights weights = random_weights(DType::kF32, 2048, 768, 6);
  std::vector<float> output(512 * 2048);
  for (const auto& [name, product] :
       {std::pair<const char*, Product>{gemm_library(), gemm_cpu}, {"plain", gemm_plain_cpu}}) {
    double best = 1e9;
    for (int repeat = 0; repeat < 10; ++repeat) {
      const auto started = std::chrono::steady_clock::now();
      product(input.data(), weights.tensor, 512, output.data());
      best =
          std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
    }
    std::printf("     512 x 2048 x 768 by %-7s %.0f GFLOP/s\n", name, 2.0 * 512 * 2048 * 768 / best / 1e9);
  }
}
