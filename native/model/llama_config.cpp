// Range checks of a configuration. The upper limits keep every product of sizes far from overflow.
#include <cmath>
#include <string>

#include "core/check.h"
#include "model/llama.h"

namespace octavo {

namespace {

template <typename Number>
[[noreturn]] void fail(const std::string& expected, const char* name, Number received) {
  throw Error("ERR_OCTAVO_MODEL_CONFIG",
              "Expected " + expected + " for " + name + " but received " + std::to_string(received));
}

void require_integer(const char* name, int64_t value, int64_t highest) {
  if (value < 1 || value > highest) fail("an integer from 1 to " + std::to_string(highest), name, value);
}

void require_positive(const char* name, double value) {
  if (!std::isfinite(value) || value <= 0) fail("a finite number above 0", name, value);
}

}  // namespace

void check_llama_config(const LlamaConfig& config) {
  require_integer("numLayers", config.num_layers, 4096);
  require_integer("hiddenSize", config.hidden_size, 1 << 20);
  require_integer("intermediateSize", config.intermediate_size, 1 << 22);
  require_integer("numQueryHeads", config.num_query_heads, 4096);
  require_integer("numKvHeads", config.num_kv_heads, 4096);
  require_integer("headDim", config.head_dim, 4096);
  require_integer("vocabSize", config.vocab_size, 1 << 24);
  require_integer("maxPositions", config.max_positions, int64_t{1} << 31);
  require_positive("rmsNormEps", config.rms_norm_eps);
  require_positive("ropeTheta", config.rope_theta);
  if (config.num_query_heads % config.num_kv_heads != 0)
    fail("a divisor of numQueryHeads (" + std::to_string(config.num_query_heads) + ")", "numKvHeads",
         config.num_kv_heads);
  if (config.head_dim % 2 != 0) fail("an even number", "headDim", config.head_dim);
  if (!config.rope_scaling) return;
  const RopeScaling& scaling = *config.rope_scaling;
  require_positive("ropeScaling.factor", scaling.factor);
  require_positive("ropeScaling.lowFreqFactor", scaling.low_freq_factor);
  require_positive("ropeScaling.highFreqFactor", scaling.high_freq_factor);
  require_integer("ropeScaling.originalMaxPositions", scaling.original_max_positions, int64_t{1} << 31);
  if (scaling.high_freq_factor <= scaling.low_freq_factor)
    fail("more than lowFreqFactor (" + std::to_string(scaling.low_freq_factor) + ")",
         "ropeScaling.highFreqFactor", scaling.high_freq_factor);
}

}  // namespace octavo
