// The forward pass on random models: prefill agrees with decoding token by token and with a dense fp64
// forward pass written from the definition.
#include <optional>

#include "helpers.h"
#include "model/llama.h"
#include "ops/causal_attention.h"
#include "ops/gemm_bf16.h"
#include "ops/paged_attention.h"
#include "test.h"

using namespace octavo;
using namespace octavo::test;

namespace {

LlamaConfig config_of(bool tied, std::optional<RopeScaling> scaling) {
  return {.num_layers = 3,
          .hidden_size = 48,
          .intermediate_size = 72,
          .num_query_heads = 6,
          .num_kv_heads = 2,
          .head_dim = 10,
          .vocab_size = 61,
          .max_positions = 512,
          .rms_norm_eps = 1e-5,
          .rope_theta = 10000,
          .rope_scaling = scaling,
          .tie_word_embeddings = tied};
}

std::vector<int32_t> random_tokens(int count, int vocab_size) {
  std::mt19937 generator(77);
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) token = static_cast<int32_t>(generator() % static_cast<uint32_t>(vocab_size));
  return tokens;
}

// Logits after the last token, all tokens at once.
std::vector<float> prefill(const LlamaModel& model, const std::vector<int32_t>& tokens) {
  const LlamaConfig& config = model.config();
  const int64_t count = static_cast<int64_t>(tokens.size());
  const size_t heads_size = tokens.size() * static_cast<size_t>(config.num_query_heads * config.head_dim);
  const size_t kv_size = tokens.size() * static_cast<size_t>(config.num_kv_heads * config.head_dim);
  std::vector<float> hidden(tokens.size() * static_cast<size_t>(config.hidden_size)), query(heads_size),
      key(kv_size), value(kv_size), attention(heads_size), logits(static_cast<size_t>(config.vocab_size));
  std::vector<int64_t> positions(tokens.size());
  for (size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<int64_t>(i);
  LlamaWorkspace workspace;
  model.embed(tokens.data(), count, hidden.data());
  for (int layer = 0; layer < config.num_layers; ++layer) {
    model.project_qkv(layer, hidden.data(), positions.data(), count, workspace, query.data(), key.data(),
                      value.data());
    causal_attention_cpu(config.num_query_heads, config.num_kv_heads, config.head_dim, query.data(),
                         key.data(), value.data(), count, 1 / std::sqrt(static_cast<float>(config.head_dim)),
                         attention.data());
    model.finish_layer(layer, attention.data(), count, workspace, hidden.data());
  }
  model.logits(hidden.data() + (count - 1) * config.hidden_size, workspace, logits.data());
  return logits;
}

// The same one token at a time, over a cache of one block.
std::vector<float> decode(const LlamaModel& model, const std::vector<int32_t>& tokens) {
  const LlamaConfig& config = model.config();
  const int block_size = static_cast<int>(tokens.size());
  const PagedAttentionShape shape = {config.num_query_heads, config.num_kv_heads, config.head_dim,
                                     block_size};
  const size_t cache_size = static_cast<size_t>(config.num_kv_heads * block_size * config.head_dim);
  std::vector<std::vector<float>> keys(static_cast<size_t>(config.num_layers),
                                       std::vector<float>(cache_size)),
      values = keys;
  const size_t heads_size = static_cast<size_t>(config.num_query_heads * config.head_dim);
  const size_t kv_size = static_cast<size_t>(config.num_kv_heads * config.head_dim);
  std::vector<float> hidden(static_cast<size_t>(config.hidden_size)), query(heads_size), key(kv_size),
      value(kv_size), attention(heads_size), logits(static_cast<size_t>(config.vocab_size));
  const int32_t block_table = 0;
  LlamaWorkspace workspace;
  for (int64_t position = 0; position < block_size; ++position) {
    model.embed(&tokens[static_cast<size_t>(position)], 1, hidden.data());
    for (int layer = 0; layer < config.num_layers; ++layer) {
      model.project_qkv(layer, hidden.data(), &position, 1, workspace, query.data(), key.data(),
                        value.data());
      for (int head = 0; head < config.num_kv_heads; ++head)
        for (int i = 0; i < config.head_dim; ++i) {
          const size_t to = static_cast<size_t>((head * block_size + position) * config.head_dim + i);
          keys[static_cast<size_t>(layer)][to] = key[static_cast<size_t>(head * config.head_dim + i)];
          values[static_cast<size_t>(layer)][to] = value[static_cast<size_t>(head * config.head_dim + i)];
        }
      paged_attention_cpu(shape, query.data(),
                          {.key_cache = keys[static_cast<size_t>(layer)].data(),
                           .value_cache = values[static_cast<size_t>(layer)].data(),
                           .block_table = &block_table,
                           .kv_len = position + 1},
                          1 / std::sqrt(static_cast<float>(config.head_dim)), attention.data());
      model.finish_layer(layer, attention.data(), 1, workspace, hidden.data());
    }
    model.logits(hidden.data(), workspace, logits.data());
  }
  return logits;
}

using Doubles = std::vector<double>;

// A dense forward pass in fp64, one function, from the definition of the architecture. f32 weights only.
Doubles dense_logits(const LlamaModel& model, const std::vector<int32_t>& tokens) {
  const LlamaConfig& c = model.config();
  const auto weight = [&](const std::string& name) -> const float* {
    for (const auto& [candidate, tensor] : model.weights())
      if (candidate == name) return tensor.f32();
    return nullptr;
  };
  const auto multiply = [](const float* matrix, const Doubles& x, size_t out) {
    Doubles y(out, 0.0);
    for (size_t row = 0; row < out; ++row)
      for (size_t i = 0; i < x.size(); ++i) y[row] += matrix[row * x.size() + i] * x[i];
    return y;
  };
  const auto norm = [&](const float* scale, const Doubles& x) {
    double squares = 0;
    for (const double element : x) squares += element * element;
    Doubles y(x.size());
    for (size_t i = 0; i < x.size(); ++i)
      y[i] = x[i] / std::sqrt(squares / static_cast<double>(x.size()) + c.rms_norm_eps) * scale[i];
    return y;
  };
  const size_t dim = static_cast<size_t>(c.head_dim), half = dim / 2,
               group = static_cast<size_t>(c.num_query_heads / c.num_kv_heads);
  const auto rotate = [&](Doubles& heads, double position) {
    for (size_t head = 0; head < heads.size() / dim; ++head)
      for (size_t i = 0; i < half; ++i) {
        double frequency = std::pow(c.rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
        if (c.rope_scaling) {
          const double turns =
              static_cast<double>(c.rope_scaling->original_max_positions) * frequency / (2 * M_PI);
          const double low = c.rope_scaling->low_freq_factor, high = c.rope_scaling->high_freq_factor;
          const double kept = std::min(1.0, std::max(0.0, (turns - low) / (high - low)));
          frequency *= kept + (1 - kept) / c.rope_scaling->factor;
        }
        const double cosine = std::cos(position * frequency), sine = std::sin(position * frequency);
        double &a = heads[head * dim + i], &b = heads[head * dim + i + half];
        const double a0 = a, b0 = b;
        a = a0 * cosine - b0 * sine;
        b = a0 * sine + b0 * cosine;
      }
  };
  const float* embedding = weight("model.embed_tokens.weight");
  std::vector<Doubles> hidden;
  for (const int32_t token : tokens)
    hidden.emplace_back(embedding + token * c.hidden_size, embedding + (token + 1) * c.hidden_size);
  for (int layer = 0; layer < c.num_layers; ++layer) {
    const auto part = [&](const char* name) {
      return weight("model.layers." + std::to_string(layer) + "." + name + ".weight");
    };
    std::vector<Doubles> keys, values;
    for (size_t t = 0; t < tokens.size(); ++t) {
      const Doubles normed = norm(part("input_layernorm"), hidden[t]);
      Doubles query =
          multiply(part("self_attn.q_proj"), normed, static_cast<size_t>(c.num_query_heads) * dim);
      keys.push_back(multiply(part("self_attn.k_proj"), normed, static_cast<size_t>(c.num_kv_heads) * dim));
      values.push_back(multiply(part("self_attn.v_proj"), normed, static_cast<size_t>(c.num_kv_heads) * dim));
      rotate(query, static_cast<double>(t));
      rotate(keys.back(), static_cast<double>(t));
      Doubles attention(query.size(), 0.0);
      for (size_t head = 0; head < static_cast<size_t>(c.num_query_heads); ++head) {
        Doubles p(t + 1, 0.0);
        double sum = 0;
        for (size_t s = 0; s <= t; ++s) {
          for (size_t i = 0; i < dim; ++i) p[s] += query[head * dim + i] * keys[s][head / group * dim + i];
          sum += p[s] = std::exp(p[s] / std::sqrt(static_cast<double>(dim)));
        }
        for (size_t s = 0; s <= t; ++s)
          for (size_t i = 0; i < dim; ++i)
            attention[head * dim + i] += p[s] / sum * values[s][head / group * dim + i];
      }
      const Doubles projected = multiply(part("self_attn.o_proj"), attention, hidden[t].size());
      for (size_t i = 0; i < projected.size(); ++i) hidden[t][i] += projected[i];
      const Doubles second = norm(part("post_attention_layernorm"), hidden[t]);
      Doubles gate = multiply(part("mlp.gate_proj"), second, static_cast<size_t>(c.intermediate_size));
      const Doubles up = multiply(part("mlp.up_proj"), second, gate.size());
      for (size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
      const Doubles down = multiply(part("mlp.down_proj"), gate, hidden[t].size());
      for (size_t i = 0; i < down.size(); ++i) hidden[t][i] += down[i];
    }
  }
  const float* head = c.tie_word_embeddings ? embedding : weight("lm_head.weight");
  return multiply(head, norm(weight("model.norm.weight"), hidden.back()), static_cast<size_t>(c.vocab_size));
}

// Larger weights than the default's, so that attention is not uniform and mistakes show.
void enlarge(const LlamaModel& model) {
  for (const auto& [name, weight] : model.weights())
    if (weight.shape.size() == 2)
      for (int64_t i = 0; i < weight.num_elements(); ++i) weight.f32()[i] *= 12.0f;
}

}  // namespace

TEST("prefill and decode equal the dense fp64 forward pass, with each instruction set") {
  for_each_simd_level([](const std::string& level) {
    for (const bool tied : {true, false}) {
      const auto scaling = tied ? std::optional<RopeScaling>() : RopeScaling{8, 1, 4, 64};
      const LlamaModel model = LlamaModel::random(config_of(tied, scaling), 5);
      enlarge(model);
      const std::vector<int32_t> tokens = random_tokens(70, 61);
      const Doubles expected = dense_logits(model, tokens);
      const std::string what = level + (tied ? ", tied" : ", untied, scaled RoPE");
      compare(what + ", prefill", prefill(model, tokens).data(), expected.data(), 61, 3e-6, 1e-3);
      compare(what + ", decode", decode(model, tokens).data(), expected.data(), 61, 3e-6, 1e-3);
    }
  });
}

TEST("prefill equals decode to fp32 rounding, or bf16's where products round to it") {
  for (const DType dtype : {DType::kF32, DType::kBf16, DType::kF16}) {
    const LlamaModel model = LlamaModel::random(config_of(false, {}), 6, dtype);
    for (const int count : {1, 2, 130, 513, 530}) {
      const std::vector<int32_t> tokens = random_tokens(count, 61);
      const bool rounds = dtype == DType::kBf16 && count >= kMinRowsForBf16 && has_fast_bf16_products();
      compare(std::string(dtype_name(dtype)) + ", " + std::to_string(count) + " tokens",
              prefill(model, tokens).data(), decode(model, tokens).data(), 61, rounds ? 4e-3 : 2e-6,
              rounds ? 2e-3 : 1e-5);
    }
  }
}

TEST("a workspace serves steps of changing length and positions") {
  const LlamaModel model = LlamaModel::random(config_of(false, {}), 7);
  LlamaWorkspace shared;
  const std::vector<float> hidden = normal_floats(5 * 48, 8);
  for (const auto& [count, first] :
       std::vector<std::pair<int64_t, int64_t>>{{5, 0}, {1, 5}, {1, 6}, {5, 0}, {3, 100}, {3, 0}}) {
    std::vector<int64_t> positions;
    for (int64_t i = 0; i < count; ++i) positions.push_back(first + i);
    LlamaWorkspace fresh;
    const auto project = [&](LlamaWorkspace& workspace) {
      std::vector<float> query(static_cast<size_t>(count * 60)), key(static_cast<size_t>(count * 20)),
          value = key;
      model.project_qkv(1, hidden.data(), positions.data(), count, workspace, query.data(), key.data(),
                        value.data());
      query.insert(query.end(), key.begin(), key.end());
      query.insert(query.end(), value.begin(), value.end());
      return query;
    };
    REQUIRE(project(shared) == project(fresh));
  }
}
