// RMSNorm, RoPE, SwiGLU and the norms of keys and values against fp64.
#include "helpers.h"
#include "ops/kv_norms.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/swiglu.h"
#include "test.h"

using namespace octavo;
using namespace octavo::test;

TEST("rms_norm equals fp64 for odd sizes, in place and with tiny and huge rows") {
  for (const int size : {1, 7, 128, 769})
    for (const float magnitude : {1.0f, 1e-6f, 1e18f}) {
      const std::vector<float> input = normal_floats(static_cast<size_t>(3 * size), 1, magnitude);
      const std::vector<float> weight = normal_floats(static_cast<size_t>(size), 2);
      std::vector<double> expected(input.size());
      for (int row = 0; row < 3; ++row) {
        double squares = 0;
        for (int i = 0; i < size; ++i)
          squares += std::pow(static_cast<double>(input[static_cast<size_t>(row * size + i)]), 2);
        for (int i = 0; i < size; ++i)
          expected[static_cast<size_t>(row * size + i)] = input[static_cast<size_t>(row * size + i)] /
                                                          std::sqrt(squares / size + 1e-5) *
                                                          weight[static_cast<size_t>(i)];
      }
      std::vector<float> output = input;
      rms_norm_cpu(output.data(), weight.data(), 3, size, 1e-5, output.data());
      const Difference found =
          difference(output.data(), expected.data(), static_cast<int64_t>(output.size()));
      REQUIRE(found.comparable && found.relative_l2 <= 1.5e-7);
    }
}

TEST("rope rotates pairs (i, i + half) by position times frequency, also at position 1,000,003") {
  constexpr int kHeadDim = 32, kHalf = kHeadDim / 2, kHeads = 3;
  const std::vector<int64_t> positions = {0, 1, 17, 100000, 1000003};
  const std::vector<double> frequencies = rope_frequencies(kHeadDim, 10000.0, nullptr);
  REQUIRE_EQUAL(frequencies.size(), size_t{kHalf});
  const int64_t num_tokens = static_cast<int64_t>(positions.size());
  const std::vector<float> input = normal_floats(static_cast<size_t>(num_tokens * kHeads * kHeadDim), 4);
  std::vector<double> expected(input.size());
  for (int64_t token = 0; token < num_tokens; ++token)
    for (int head = 0; head < kHeads; ++head)
      for (int i = 0; i < kHalf; ++i) {
        const long double angle = static_cast<long double>(positions[static_cast<size_t>(token)]) *
                                  std::pow(10000.0L, -2.0L * i / kHeadDim);
        const size_t first = static_cast<size_t>((token * kHeads + head) * kHeadDim + i),
                     second = first + kHalf;
        expected[first] =
            static_cast<double>(input[first] * std::cos(angle) - input[second] * std::sin(angle));
        expected[second] =
            static_cast<double>(input[first] * std::sin(angle) + input[second] * std::cos(angle));
      }
  std::vector<float> cosines(static_cast<size_t>(num_tokens * kHalf)), sines = cosines, output = input;
  rope_angles_cpu(positions.data(), num_tokens, frequencies, cosines.data(), sines.data());
  rope_cpu(cosines.data(), sines.data(), num_tokens, kHeads, kHeadDim, output.data());
  compare("rope", output.data(), expected.data(), static_cast<int64_t>(output.size()), 1e-7, 5e-7);
  // Position 0 is the identity, bit for bit, and a rotation keeps lengths.
  REQUIRE(std::memcmp(output.data(), input.data(), kHeads * kHeadDim * sizeof(float)) == 0);
}

TEST("Llama 3 scaling keeps short waves, stretches long ones by the factor, and is monotone between") {
  const RopeScaling scaling = {32.0, 1.0, 4.0, 8192};
  const std::vector<double> plain = rope_frequencies(64, 500000.0, nullptr);
  const std::vector<double> scaled = rope_frequencies(64, 500000.0, &scaling);
  int kept = 0, stretched = 0, mixed = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    const double turns = 8192 * plain[i] / 6.283185307179586;  // of the original context
    const double ratio = plain[i] / scaled[i];
    if (turns > 4) {
      REQUIRE_EQUAL(ratio, 1.0);
      ++kept;
    } else if (turns < 1) {
      REQUIRE(std::fabs(ratio - 32) < 1e-12);
      ++stretched;
    } else {
      const double smooth = (turns - 1) / 3;
      REQUIRE(std::fabs(scaled[i] / plain[i] - (smooth + (1 - smooth) / 32)) < 1e-12);
      ++mixed;
    }
    if (i > 0) REQUIRE(scaled[i] < scaled[i - 1]);
  }
  REQUIRE(kept > 0 && stretched > 0 && mixed > 0);
}

TEST("swiglu equals fp64 for small, large and extreme gates, whatever the length") {
  for_each_simd_level([](const std::string& level) {
    double worst = 0;
    for (const size_t count : {1, 15, 16, 17, 63, 1000}) {
      std::vector<float> gate = normal_floats(count, 6, 4.0f), up = normal_floats(count, 7);
      const std::vector<float> extremes = {0.0f, -0.0f, 30.0f, -30.0f, 80.0f, -80.0f, 1e-30f, 5e30f};
      for (size_t i = 0; i < extremes.size() && i < count; ++i) gate[i] = extremes[i];
      std::vector<double> expected(count);
      for (size_t i = 0; i < count; ++i)
        expected[i] = static_cast<double>(gate[i]) / (1 + std::exp(-static_cast<double>(gate[i]))) * up[i];
      swiglu_cpu(up.data(), static_cast<int64_t>(count), gate.data());
      for (size_t i = 0; i < count; ++i) {
        const double error = std::fabs(gate[i] - expected[i]) / std::max(std::fabs(expected[i]), 1e-30);
        worst = std::max(worst, error);
        REQUIRE(error <= 5e-7);
      }
    }
    float gates[] = {NAN, -INFINITY, -200.0f, 200.0f};
    const float ups[] = {1.0f, 1.0f, 1.0f, 2.0f};
    swiglu_cpu(ups, 4, gates);
    REQUIRE(std::isnan(gates[0]));
    REQUIRE(std::isnan(gates[1]) || gates[1] == 0);  // -inf / inf, as in the definition
    REQUIRE_EQUAL(gates[2], 0.0f);
    REQUIRE_EQUAL(gates[3], 400.0f);
    std::printf("     %-10s worst relative error %.2e\n", level.c_str(), worst);
  });
}

TEST("norms of keys and values are the nearest fp32 numbers, also where squares overflow fp32") {
  for (const int head_dim : {1, 7, 32, 65})
    for (const float magnitude : {1.0f, 1e25f, 1e-30f}) {
      const size_t count = static_cast<size_t>(5 * 2 * head_dim);
      const std::vector<float> key = normal_floats(count, 8, magnitude), value = normal_floats(count, 9);
      std::vector<float> key_norms(10, NAN), value_norms(10, NAN);
      kv_norms_cpu(key.data(), value.data(), 5, 2, head_dim, key_norms.data(), value_norms.data());
      for (size_t i = 0; i < 10; ++i) {
        long double key_squares = 0, value_squares = 0;
        for (size_t j = i * static_cast<size_t>(head_dim); j < (i + 1) * static_cast<size_t>(head_dim); ++j) {
          key_squares += static_cast<long double>(key[j]) * key[j];
          value_squares += static_cast<long double>(value[j]) * value[j];
        }
        REQUIRE_EQUAL(key_norms[i], static_cast<float>(std::sqrt(key_squares)));
        REQUIRE_EQUAL(value_norms[i], static_cast<float>(std::sqrt(value_squares)));
      }
    }
}
