// A tiny Llama with random weights of useful size, and its forward pass in float64 written from the
// definition: no cache, no blocks, a mask that says which positions each query sees. Shares no code with the
// engine.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "model/llama.h"

namespace octavo::test {

struct TinyLlama {
  LlamaConfig config{};
  std::map<std::string, std::vector<float>> weights;
  std::map<std::string, std::vector<int64_t>> shapes;

  explicit TinyLlama(unsigned seed, int vocab_size = 31) {
    config.num_layers = 3;
    config.hidden_size = 24;
    config.intermediate_size = 40;
    config.num_query_heads = 4;
    config.num_kv_heads = 2;
    config.head_dim = 6;
    config.vocab_size = vocab_size;
    config.max_positions = 600;
    config.rms_norm_eps = 1e-5;
    config.rope_theta = 10000;
    config.tie_word_embeddings = false;
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.0F, 1.0F);
    const auto add = [&](const std::string& name, std::vector<int64_t> shape, float scale, float offset) {
      int64_t count = 1;
      for (const int64_t size : shape) count *= size;
      std::vector<float>& weight = weights[name];
      for (int64_t i = 0; i < count; ++i) weight.push_back(offset + scale * normal(random));
      shapes[name] = std::move(shape);
    };
    const int hidden = config.hidden_size, query = config.num_query_heads * config.head_dim;
    const int key_value = config.num_kv_heads * config.head_dim, ffn = config.intermediate_size;
    add("model.embed_tokens.weight", {config.vocab_size, hidden}, 1.0F, 0);
    add("model.norm.weight", {hidden}, 0.2F, 1);
    add("lm_head.weight", {config.vocab_size, hidden}, 0.4F, 0);
    for (int layer = 0; layer < config.num_layers; ++layer) {
      const std::string name = "model.layers." + std::to_string(layer) + ".";
      add(name + "input_layernorm.weight", {hidden}, 0.2F, 1);
      add(name + "self_attn.q_proj.weight", {query, hidden}, 0.3F, 0);
      add(name + "self_attn.k_proj.weight", {key_value, hidden}, 0.3F, 0);
      add(name + "self_attn.v_proj.weight", {key_value, hidden}, 0.3F, 0);
      add(name + "self_attn.o_proj.weight", {hidden, query}, 0.3F, 0);
      add(name + "post_attention_layernorm.weight", {hidden}, 0.2F, 1);
      add(name + "mlp.gate_proj.weight", {ffn, hidden}, 0.3F, 0);
      add(name + "mlp.up_proj.weight", {ffn, hidden}, 0.3F, 0);
      add(name + "mlp.down_proj.weight", {hidden, ffn}, 0.2F, 0);
    }
  }

  // Writes the weights to a file that is gone once the engine has mapped it.
  std::shared_ptr<const LlamaModel> open() const {
    char path[] = "/tmp/octavo-tiny-XXXXXX";
    const int descriptor = mkstemp(path);
    FILE* file = descriptor < 0 ? nullptr : fdopen(descriptor, "wb");
    if (!file) throw std::runtime_error("no temporary file");
    std::vector<WeightSource> sources;
    int64_t offset = 0;
    for (const auto& [name, weight] : weights) {
      const auto size = static_cast<int64_t>(weight.size() * sizeof(float));
      fwrite(weight.data(), sizeof(float), weight.size(), file);
      sources.push_back({name, "F32", shapes.at(name), path, offset, size});
      offset += size;
    }
    fclose(file);
    try {
      auto model = std::make_shared<const LlamaModel>(config, sources);
      unlink(path);
      return model;
    } catch (...) {
      unlink(path);
      throw;
    }
  }

  // Keys and values of every layer, for an oracle of the policies.
  struct Captured {
    std::vector<double> query;       // [num_tokens, num_query_heads, head_dim]
    std::vector<double> key, value;  // [num_tokens, num_kv_heads, head_dim]
  };

  // Whether query t of a layer sees key s; s <= t.
  using Sees = std::function<bool(int layer, int query, int key)>;
  // The same where KV heads hold tokens of their own.
  using SeesByHead = std::function<bool(int layer, int query, int key, int kv_head)>;
  // Where key s stands, and query t (as key t of itself), when t attends.
  using Place = std::function<int(int layer, int query, int key)>;

  std::vector<double> norm(const std::vector<double>& x, const std::string& name) const {
    double squares = 0;
    for (const double number : x) squares += number * number;
    const double factor = 1 / std::sqrt(squares / static_cast<double>(x.size()) + config.rms_norm_eps);
    std::vector<double> result;
    for (size_t i = 0; i < x.size(); ++i) result.push_back(x[i] * factor * weights.at(name)[i]);
    return result;
  }

  std::vector<double> times(const std::vector<double>& x, const std::string& name) const {
    const std::vector<float>& weight = weights.at(name);
    std::vector<double> result(weight.size() / x.size(), 0.0);
    for (size_t row = 0; row < result.size(); ++row) {
      for (size_t i = 0; i < x.size(); ++i) result[row] += weight[row * x.size() + i] * x[i];
    }
    return result;
  }

  void rotate(std::vector<double>& heads, int position) const {
    const int half = config.head_dim / 2;
    for (size_t start = 0; start < heads.size(); start += static_cast<size_t>(config.head_dim)) {
      for (int i = 0; i < half; ++i) {
        const double angle = position * std::pow(config.rope_theta, -2.0 * i / config.head_dim);
        const double low = heads[start + i], high = heads[start + i + half];
        heads[start + i] = low * std::cos(angle) - high * std::sin(angle);
        heads[start + i + half] = high * std::cos(angle) + low * std::sin(angle);
      }
    }
  }

  // Logits after each token: [num_tokens][vocab_size].
  std::vector<std::vector<double>> forward(const std::vector<int32_t>& tokens, const Sees& sees,
                                           std::vector<Captured>* captured = nullptr) const {
    const auto place = [](int, int, int key) { return key; };
    return forward_placed(
        tokens, [&](int layer, int query, int key, int) { return sees(layer, query, key); }, place, captured);
  }

  // Keys are rotated to where they stand for each query, from the unrotated ones.
  std::vector<std::vector<double>> forward_placed(const std::vector<int32_t>& tokens, const SeesByHead& sees,
                                                  const Place& place,
                                                  std::vector<Captured>* captured = nullptr) const {
    const size_t num_tokens = tokens.size();
    const int dim = config.head_dim, group = config.num_query_heads / config.num_kv_heads;
    std::vector<std::vector<double>> hidden(num_tokens);
    for (size_t t = 0; t < num_tokens; ++t) {
      const float* row = weights.at("model.embed_tokens.weight").data() + tokens[t] * config.hidden_size;
      hidden[t].assign(row, row + config.hidden_size);
    }
    for (int layer = 0; layer < config.num_layers; ++layer) {
      const std::string name = "model.layers." + std::to_string(layer) + ".";
      std::vector<std::vector<double>> query(num_tokens), key(num_tokens), value(num_tokens);
      for (size_t t = 0; t < num_tokens; ++t) {
        const std::vector<double> x = norm(hidden[t], name + "input_layernorm.weight");
        query[t] = times(x, name + "self_attn.q_proj.weight");
        key[t] = times(x, name + "self_attn.k_proj.weight");
        value[t] = times(x, name + "self_attn.v_proj.weight");
      }
      const std::vector<std::vector<double>> bare_query = query, bare_key = key;
      for (size_t t = 0; t < num_tokens; ++t) {
        rotate(query[t], static_cast<int>(t));
        rotate(key[t], static_cast<int>(t));
      }
      if (captured) {
        Captured& all = captured->emplace_back();
        for (size_t t = 0; t < num_tokens; ++t) {
          all.query.insert(all.query.end(), query[t].begin(), query[t].end());
          all.key.insert(all.key.end(), key[t].begin(), key[t].end());
          all.value.insert(all.value.end(), value[t].begin(), value[t].end());
        }
      }
      for (size_t t = 0; t < num_tokens; ++t) {
        std::vector<double> attention(query[t].size(), 0.0);
        const int at = static_cast<int>(t);
        if (place(layer, at, at) != at) {
          query[t] = bare_query[t];
          rotate(query[t], place(layer, at, at));
        }
        for (size_t s = 0; s <= t; ++s) {
          key[s] = bare_key[s];
          rotate(key[s], place(layer, at, static_cast<int>(s)));
        }
        for (int head = 0; head < config.num_query_heads; ++head) {
          std::vector<double> logits(t + 1, -INFINITY);
          double largest = -INFINITY, sum = 0;
          for (size_t s = 0; s <= t; ++s) {
            if (!sees(layer, at, static_cast<int>(s), head / group)) continue;
            double dot = 0;
            for (int i = 0; i < dim; ++i) dot += query[t][head * dim + i] * key[s][head / group * dim + i];
            logits[s] = dot / std::sqrt(static_cast<double>(dim));
            largest = std::max(largest, logits[s]);
          }
          for (double& logit : logits) sum += logit = std::exp(logit - largest);
          for (size_t s = 0; s <= t; ++s) {
            for (int i = 0; i < dim; ++i) {
              attention[head * dim + i] += logits[s] / sum * value[s][head / group * dim + i];
            }
          }
        }
        const std::vector<double> projected = times(attention, name + "self_attn.o_proj.weight");
        for (size_t i = 0; i < projected.size(); ++i) hidden[t][i] += projected[i];
        const std::vector<double> x = norm(hidden[t], name + "post_attention_layernorm.weight");
        std::vector<double> gate = times(x, name + "mlp.gate_proj.weight");
        const std::vector<double> up = times(x, name + "mlp.up_proj.weight");
        for (size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
        const std::vector<double> down = times(gate, name + "mlp.down_proj.weight");
        for (size_t i = 0; i < down.size(); ++i) hidden[t][i] += down[i];
      }
    }
    std::vector<std::vector<double>> logits;
    for (const auto& last : hidden)
      logits.push_back(times(norm(last, "model.norm.weight"), "lm_head.weight"));
    return logits;
  }
};

}  // namespace octavo::test
