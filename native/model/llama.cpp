// The forward pass in pieces. See llama.h.
#include "model/llama.h"

#include <algorithm>

#include "core/check.h"
#include "core/thread_pool.h"
#include "model/llama_weights.h"
#include "ops/gemm.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/swiglu.h"
#include "ops/widen.h"

namespace octavo {

namespace {

// A prompt passes through a layer's weights in parts of so many tokens: what they make in between would
// otherwise outgrow the cache of keys and values. A multiple of the products' own slices of rows.
constexpr int64_t kTokensPerPass = 256;

float* grown(std::vector<float>& memory, int64_t count) {
  if (memory.size() < static_cast<size_t>(count)) memory.resize(static_cast<size_t>(count));
  return memory.data();
}

// Norm weights are small and always used as fp32.
Tensor as_f32(const Tensor& weight) {
  if (weight.dtype == DType::kF32) return weight;
  Tensor widened = Tensor::zeros(DType::kF32, weight.shape);
  Tensor row = weight;
  row.shape = {1, weight.num_elements()};
  std::vector<float> scratch;
  std::copy_n(widened_rows(row, 0, 1, scratch), weight.num_elements(), widened.f32());
  return widened;
}

void add_in_place(const float* addend, int64_t count, float* sum) {
  parallel_for_worthwhile(count, static_cast<double>(count) * 2, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) sum[i] += addend[i];
  });
}

void multiply(const float* input, std::initializer_list<GemvPart> parts, int64_t num_rows, Rows rows) {
  if (rows == Rows::kOneSequence || num_rows == 1) return gemm_cpu(input, parts, num_rows);
  for (const auto& [weight, output] : parts) gemv_many_cpu(input, *weight, num_rows, output);
}

void renew_rope(const LlamaConfig& config, const std::vector<double>& frequencies, const int64_t* positions,
                int64_t num_tokens, LlamaWorkspace& workspace) {
  if (std::equal(positions, positions + num_tokens, workspace.rope_positions.begin(),
                 workspace.rope_positions.end()))
    return;
  const int64_t count = num_tokens * (config.head_dim / 2);
  workspace.rope_positions.clear();  // in case memory for the angles is refused
  rope_angles_cpu(positions, num_tokens, frequencies, grown(workspace.rope_cosines, count),
                  grown(workspace.rope_sines, count));
  workspace.rope_positions.assign(positions, positions + num_tokens);
}

}  // namespace

LlamaModel::LlamaModel(const LlamaConfig& config) : config_(config) {
  check_llama_config(config);
  rope_frequencies_ = octavo::rope_frequencies(config.head_dim, config.rope_theta,
                                               config.rope_scaling ? &*config.rope_scaling : nullptr);
}

LlamaModel::LlamaModel(const LlamaConfig& config, const std::vector<WeightSource>& sources)
    : LlamaModel(config) {
  LoadedWeights loaded = load_llama_weights(config, sources);
  weights_ = std::move(loaded.weights);
  files_ = std::move(loaded.files);
  assemble();
  require_unchanged();  // some weights were copied
}

void LlamaModel::require_unchanged() const {
  for (const auto& file : files_) file->require_unchanged();
}

void LlamaModel::require_read_whole() const {
  for (const auto& file : files_) file->require_read_whole();
}

void LlamaModel::assemble() {
  size_t next = 0;
  const auto take = [&]() -> const Tensor& { return weights_[next++].second; };
  embedding_ = take();
  layers_.resize(static_cast<size_t>(config_.num_layers));
  for (Layer& layer : layers_) {
    layer.attention_norm = as_f32(take());
    layer.query = take();
    layer.key = take();
    layer.value = take();
    layer.output = take();
    layer.mlp_norm = as_f32(take());
    layer.gate = take();
    layer.up = take();
    layer.down = take();
  }
  final_norm_ = as_f32(take());
  head_ = config_.tie_word_embeddings ? embedding_ : take();
}

int64_t LlamaModel::num_parameters() const {
  int64_t total = 0;
  for (const auto& [name, weight] : weights_) total += weight.num_elements();
  return total;
}

void LlamaModel::embed(const int32_t* tokens, int64_t num_tokens, float* hidden) const {
  require_unchanged();
  for (int64_t i = 0; i < num_tokens; ++i)
    if (tokens[i] < 0 || tokens[i] >= config_.vocab_size)
      throw Error("ERR_OCTAVO_TOKEN", "Expected a token id from 0 to " +
                                          std::to_string(config_.vocab_size - 1) + " but received " +
                                          std::to_string(tokens[i]) + " at index " + std::to_string(i));
  std::vector<float> scratch;
  for (int64_t i = 0; i < num_tokens; ++i)
    std::copy_n(widened_rows(embedding_, tokens[i], 1, scratch), config_.hidden_size,
                hidden + i * config_.hidden_size);
}

// [num_tokens, hidden_size], in the workspace.
const float* LlamaModel::attention_input(const Layer& layer, const float* hidden, int64_t num_tokens,
                                         LlamaWorkspace& workspace) const {
  float* const normed = grown(workspace.normed, num_tokens * config_.hidden_size);
  rms_norm_cpu(hidden, layer.attention_norm.f32(), num_tokens, config_.hidden_size, config_.rms_norm_eps,
               normed);
  return normed;
}

void LlamaModel::project_qkv(int layer_index, const float* hidden, const int64_t* positions,
                             int64_t num_tokens, LlamaWorkspace& workspace, float* query, float* key,
                             float* value, Rows rows) const {
  const Layer& layer = layers_[static_cast<size_t>(layer_index)];
  const int64_t query_size = int64_t{config_.num_query_heads} * config_.head_dim;
  const int64_t kv_size = int64_t{config_.num_kv_heads} * config_.head_dim;
  for (int64_t first = 0; first < num_tokens; first += kTokensPerPass) {
    const int64_t count = std::min(kTokensPerPass, num_tokens - first);
    const float* const normed =
        attention_input(layer, hidden + first * config_.hidden_size, count, workspace);
    multiply(normed,
             {{&layer.query, query + first * query_size},
              {&layer.key, key + first * kv_size},
              {&layer.value, value + first * kv_size}},
             count, rows);
  }
  renew_rope(config_, rope_frequencies_, positions, num_tokens, workspace);
  const float* cosines = workspace.rope_cosines.data();
  const float* sines = workspace.rope_sines.data();
  rope_cpu(cosines, sines, num_tokens, config_.num_query_heads, config_.head_dim, query);
  rope_cpu(cosines, sines, num_tokens, config_.num_kv_heads, config_.head_dim, key);
}

void LlamaModel::project_query(int layer_index, const float* hidden, const int64_t* positions,
                               int64_t num_tokens, LlamaWorkspace& workspace, float* query) const {
  const Layer& layer = layers_[static_cast<size_t>(layer_index)];
  const int64_t query_size = int64_t{config_.num_query_heads} * config_.head_dim;
  for (int64_t first = 0; first < num_tokens; first += kTokensPerPass) {
    const int64_t count = std::min(kTokensPerPass, num_tokens - first);
    const float* const normed =
        attention_input(layer, hidden + first * config_.hidden_size, count, workspace);
    gemm_cpu(normed, layer.query, count, query + first * query_size);
  }
  renew_rope(config_, rope_frequencies_, positions, num_tokens, workspace);
  rope_cpu(workspace.rope_cosines.data(), workspace.rope_sines.data(), num_tokens, config_.num_query_heads,
           config_.head_dim, query);
}

void LlamaModel::finish_layer(int layer_index, const float* attention, int64_t num_tokens,
                              LlamaWorkspace& workspace, float* hidden, Rows rows) const {
  const Layer& layer = layers_[static_cast<size_t>(layer_index)];
  const int64_t query_size = int64_t{config_.num_query_heads} * config_.head_dim;
  for (int64_t first = 0; first < num_tokens; first += kTokensPerPass) {
    const int64_t count = std::min(kTokensPerPass, num_tokens - first);
    const int64_t hidden_count = count * config_.hidden_size, ffn_count = count * config_.intermediate_size;
    float* const residual = hidden + first * config_.hidden_size;
    float* const added = grown(workspace.normed, hidden_count);  // before and after it holds the norm
    multiply(attention + first * query_size, {{&layer.output, added}}, count, rows);
    add_in_place(added, hidden_count, residual);

    float* const normed = added;
    float* gate = grown(workspace.gate, ffn_count);
    float* up = grown(workspace.up, ffn_count);
    rms_norm_cpu(residual, layer.mlp_norm.f32(), count, config_.hidden_size, config_.rms_norm_eps, normed);
    multiply(normed, {{&layer.gate, gate}, {&layer.up, up}}, count, rows);
    swiglu_cpu(up, ffn_count, gate);
    multiply(gate, {{&layer.down, added}}, count, rows);
    add_in_place(added, hidden_count, residual);
  }
}

void LlamaModel::logits(const float* hidden, LlamaWorkspace& workspace, float* logits) const {
  float* normed = grown(workspace.normed, config_.hidden_size);
  rms_norm_cpu(hidden, final_norm_.f32(), 1, config_.hidden_size, config_.rms_norm_eps, normed);
  gemv_cpu(normed, head_, logits);
}

void LlamaModel::logits_of_many(const float* hidden, int64_t num_sequences, LlamaWorkspace& workspace,
                                float* logits) const {
  float* normed = grown(workspace.normed, num_sequences * config_.hidden_size);
  rms_norm_cpu(hidden, final_norm_.f32(), num_sequences, config_.hidden_size, config_.rms_norm_eps, normed);
  gemv_many_cpu(normed, head_, num_sequences, logits);
}

}  // namespace octavo
