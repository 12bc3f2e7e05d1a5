// Loading: weights in files of every type, and everything that can be wrong with them or the configuration.
#include <filesystem>
#include <limits>

#include "model/llama.h"
#include "model/llama_weights.h"
#include "test.h"
#include "written_model.h"

using namespace octavo;
using octavo::test::WrittenModel;

namespace {

LlamaConfig small_config() {
  return {.num_layers = 2,
          .hidden_size = 24,
          .intermediate_size = 40,
          .num_query_heads = 4,
          .num_kv_heads = 2,
          .head_dim = 6,
          .vocab_size = 50,
          .max_positions = 128,
          .rms_norm_eps = 1e-5,
          .rope_theta = 10000,
          .rope_scaling = {},
          .tie_word_embeddings = false};
}

std::vector<float> logits_of(const LlamaModel& model, int32_t token) {
  std::vector<float> hidden(24), logits(50);
  LlamaWorkspace workspace;
  model.embed(&token, 1, hidden.data());
  const std::vector<float> attention(24, 0.1f);
  for (int layer = 0; layer < 2; ++layer)
    model.finish_layer(layer, attention.data(), 1, workspace, hidden.data());
  model.logits(hidden.data(), workspace, logits.data());
  return logits;
}

std::string code_of_config(void (*spoil)(LlamaConfig&)) {
  LlamaConfig config = small_config();
  spoil(config);
  return test::error_code([&] { LlamaModel::random(config, 1); });
}

}  // namespace

TEST("mapped weights give the same bits as the model they were written from, aligned or not, in every type") {
  for (const DType dtype : {DType::kF32, DType::kBf16, DType::kF16})
    for (const int padding : {0, 64, 3}) {
      const LlamaModel original = LlamaModel::random(small_config(), 3, dtype);
      const WrittenModel written(original, padding);
      const LlamaModel mapped(small_config(), written.sources);
      REQUIRE_EQUAL(mapped.num_parameters(), original.num_parameters());
      REQUIRE_EQUAL(reinterpret_cast<uintptr_t>(mapped.weights()[1].second.data) % 4, uintptr_t{0});
      for (const int32_t token : {0, 49}) {
        const std::vector<float> expected = logits_of(original, token), actual = logits_of(mapped, token);
        REQUIRE(std::memcmp(expected.data(), actual.data(), 50 * sizeof(float)) == 0);
        REQUIRE(std::isfinite(expected[7]) && expected[7] != 0);
      }
    }
}

TEST("parameters are counted once, also with a tied head") {
  LlamaConfig config = small_config();
  const int64_t layer = 2 * 24 + 24 * 24 * 2 + 12 * 24 * 2 + 3 * 40 * 24;
  REQUIRE_EQUAL(LlamaModel::random(config, 1).num_parameters(), 2 * layer + 24 + int64_t{2} * 50 * 24);
  config.tie_word_embeddings = true;
  REQUIRE_EQUAL(LlamaModel::random(config, 1).num_parameters(), 2 * layer + 24 + int64_t{50} * 24);
}

TEST("random weights depend on the seed and have the promised deviation") {
  const LlamaModel a = LlamaModel::random(small_config(), 1), b = LlamaModel::random(small_config(), 1),
                   c = LlamaModel::random(small_config(), 2);
  const Tensor &first = a.weights()[2].second, &same = b.weights()[2].second, &other = c.weights()[2].second;
  REQUIRE(std::memcmp(first.data, same.data, first.size_bytes()) == 0);
  REQUIRE(std::memcmp(first.data, other.data, first.size_bytes()) != 0);
  REQUIRE(std::memcmp(first.data, a.weights()[6 + 5].second.data, first.size_bytes()) != 0);
  double squares = 0;
  int64_t count = 0;
  for (const auto& [name, weight] : a.weights())
    if (weight.shape.size() == 2)
      for (int64_t i = 0; i < weight.num_elements(); ++i, ++count)
        squares += weight.f32()[i] * weight.f32()[i];
  REQUIRE(std::fabs(std::sqrt(squares / static_cast<double>(count)) - 0.02) < 0.001);
}

TEST("a spoilt list of weights is refused, naming the weight") {
  const WrittenModel written(LlamaModel::random(small_config(), 3), 0);
  const auto load = [&](const std::function<void(std::vector<WeightSource>&)>& spoil) {
    std::vector<WeightSource> sources = written.sources;
    spoil(sources);
    try {
      LlamaModel(small_config(), sources);
    } catch (const Error& error) {
      return error.code() +
             (std::string(error.what()).find(sources.back().name) != std::string::npos ? " named" : "");
    }
    return std::string("loaded");
  };
  REQUIRE_EQUAL(load([](auto&) {}), std::string("loaded"));
  const std::string weights = "ERR_OCTAVO_MODEL_WEIGHTS named", file = "ERR_OCTAVO_MODEL_FILE named";
  REQUIRE_EQUAL(load([](auto& list) { list.erase(list.begin()); }), std::string("ERR_OCTAVO_MODEL_WEIGHTS"));
  REQUIRE_EQUAL(load([](auto& list) { list.push_back(list.back()); }), weights);
  REQUIRE_EQUAL(load([](auto& list) { list.back().shape = {24, 50}; }), weights);
  REQUIRE_EQUAL(load([](auto& list) { list.back().shape = {50}; }), weights);
  REQUIRE_EQUAL(load([](auto& list) { list.back().dtype = "F64"; }), weights);
  REQUIRE_EQUAL(load([](auto& list) { list.back().dtype = "I32"; }), weights);
  REQUIRE_EQUAL(load([](auto& list) { list.back().dtype = "BF16"; }), weights);
  REQUIRE_EQUAL(load([](auto& list) { list.back().size_bytes -= 1; }), weights);
  REQUIRE_EQUAL(load([](auto& list) {
                  list.push_back(list.front());
                  list.back().name = "model.layers.0.self_attn.q_proj.bias";
                }),
                weights);
  REQUIRE_EQUAL(load([](auto& list) {
                  list.push_back(list.front());
                  list.back().name = "model.layers.0.self_attn.rotary_emb.inv_freq";
                }),
                std::string("loaded"));
  REQUIRE_EQUAL(load([](auto& list) { list.back().offset_bytes += 1; }), file);
  REQUIRE_EQUAL(load([](auto& list) { list.back().offset_bytes = -4; }), file);
  REQUIRE_EQUAL(load([](auto& list) { list.back().offset_bytes = std::numeric_limits<int64_t>::max(); }),
                file);
  REQUIRE_EQUAL(load([](auto& list) { list.back().path += "-missing"; }),
                std::string("ERR_OCTAVO_MODEL_FILE"));
}

TEST("a file cut short under a loaded model is an error, not a crash") {
  const WrittenModel written(LlamaModel::random(small_config(), 3), 0);
  const LlamaModel model(small_config(), written.sources);
  REQUIRE_EQUAL(logits_of(model, 3).size(), size_t{50});
  std::filesystem::resize_file(written.folder / "weights", 10);
  REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", logits_of(model, 3));
}

TEST("impossible configurations are refused") {
  const std::string code = "ERR_OCTAVO_MODEL_CONFIG";
  REQUIRE_EQUAL(code_of_config([](LlamaConfig&) {}), std::string());
  REQUIRE_EQUAL(code_of_config([](LlamaConfig& c) { c.num_layers = 0; }), code);
  REQUIRE_EQUAL(code_of_config([](LlamaConfig& c) { c.hidden_size = -24; }), code);
  REQUIRE_EQUAL(code_of_config([](LlamaConfig& c) { c.vocab_size = std::numeric_limits<int>::max(); }), code);
  REQUIRE_EQUAL(code_of_config([](LlamaConfig& c) { c.num_kv_heads = 3; }), code);
  REQUIRE_EQUAL(code_of_config([](LlamaConfig& c) { c.num_kv_heads = 8; }), code);
  REQUIRE_EQUAL(code_of_config([](LlamaConfig& c) { c.head_dim = 5; }), code);
  REQUIRE_EQUAL(code_of_config([](LlamaConfig& c) { c.max_positions = 0; }), code);
  REQUIRE_EQUAL(code_of_config([](LlamaConfig& c) { c.rms_norm_eps = NAN; }), code);
  REQUIRE_EQUAL(code_of_config([](LlamaConfig& c) { c.rms_norm_eps = 0; }), code);
  REQUIRE_EQUAL(code_of_config([](LlamaConfig& c) { c.rope_theta = INFINITY; }), code);
  REQUIRE_EQUAL(code_of_config([](LlamaConfig& c) {
                  c.rope_scaling = RopeScaling{8, 1, 4, 8192};
                }),
                std::string());
  REQUIRE_EQUAL(code_of_config([](LlamaConfig& c) { c.rope_scaling = RopeScaling{0, 1, 4, 8192}; }), code);
  REQUIRE_EQUAL(code_of_config([](LlamaConfig& c) { c.rope_scaling = RopeScaling{8, 4, 4, 8192}; }), code);
  REQUIRE_EQUAL(code_of_config([](LlamaConfig& c) { c.rope_scaling = RopeScaling{8, 1, 4, 0}; }), code);
}

TEST("a token outside the vocabulary is refused before anything is written") {
  const LlamaModel model = LlamaModel::random(small_config(), 3);
  for (const int32_t bad : {-1, 50, std::numeric_limits<int32_t>::max()}) {
    const int32_t tokens[] = {1, bad};
    std::vector<float> hidden(48, 7.0f);
    REQUIRE_ERROR("ERR_OCTAVO_TOKEN", model.embed(tokens, 2, hidden.data()));
    for (const float element : hidden) REQUIRE_EQUAL(element, 7.0f);
  }
}
