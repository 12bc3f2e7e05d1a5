// See llama_weights.h.
#include "model/llama_weights.h"

#include <cstring>
#include <map>

#include "core/check.h"

namespace octavo {

namespace {

[[noreturn]] void fail(const std::string& message) { throw Error("ERR_OCTAVO_MODEL_WEIGHTS", message); }

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// Stored by some tools though it follows from the rest.
bool is_redundant(const LlamaConfig& config, const std::string& name) {
  return ends_with(name, ".rotary_emb.inv_freq") || (config.tie_word_embeddings && name == "lm_head.weight");
}

Tensor map_weight(const WeightSource& source, const std::vector<int64_t>& shape,
                  const std::shared_ptr<const MappedFile>& file) {
  if (source.dtype != "F32" && source.dtype != "BF16" && source.dtype != "F16")
    fail("Expected F32, BF16 or F16 for the dtype of " + source.name + " but received \"" + source.dtype +
         "\"");
  if (source.shape != shape)
    fail("Expected shape " + shape_text(shape) + " for " + source.name + " but received " +
         shape_text(source.shape));
  Tensor tensor;
  tensor.dtype = parse_dtype(source.dtype);
  tensor.shape = shape;
  const int64_t size_bytes = static_cast<int64_t>(tensor.size_bytes());
  if (source.size_bytes != size_bytes)
    fail("Expected " + std::to_string(size_bytes) + " bytes for " + source.name + " but received " +
         std::to_string(source.size_bytes));
  const std::byte* data = file->range(source.offset_bytes, size_bytes, source.name);
  if (reinterpret_cast<uintptr_t>(data) % dtype_size_bytes(tensor.dtype) == 0) {
    tensor.memory = std::shared_ptr<void>(file, const_cast<MappedFile*>(file.get()));
    tensor.data = const_cast<std::byte*>(data);
    return tensor;
  }
  Tensor copy = Tensor::zeros(tensor.dtype, shape);
  std::memcpy(copy.data, data, static_cast<size_t>(size_bytes));
  return copy;
}

}  // namespace

std::vector<std::pair<std::string, std::vector<int64_t>>> llama_weight_shapes(const LlamaConfig& config) {
  const int64_t hidden = config.hidden_size, ffn = config.intermediate_size, vocab = config.vocab_size;
  const int64_t query_size = int64_t{config.num_query_heads} * config.head_dim;
  const int64_t kv_size = int64_t{config.num_kv_heads} * config.head_dim;
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes = {
      {"model.embed_tokens.weight", {vocab, hidden}}};
  for (int layer = 0; layer < config.num_layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    shapes.push_back({prefix + "input_layernorm.weight", {hidden}});
    shapes.push_back({prefix + "self_attn.q_proj.weight", {query_size, hidden}});
    shapes.push_back({prefix + "self_attn.k_proj.weight", {kv_size, hidden}});
    shapes.push_back({prefix + "self_attn.v_proj.weight", {kv_size, hidden}});
    shapes.push_back({prefix + "self_attn.o_proj.weight", {hidden, query_size}});
    shapes.push_back({prefix + "post_attention_layernorm.weight", {hidden}});
    shapes.push_back({prefix + "mlp.gate_proj.weight", {ffn, hidden}});
    shapes.push_back({prefix + "mlp.up_proj.weight", {ffn, hidden}});
    shapes.push_back({prefix + "mlp.down_proj.weight", {hidden, ffn}});
  }
  shapes.push_back({"model.norm.weight", {hidden}});
  if (!config.tie_word_embeddings) shapes.push_back({"lm_head.weight", {vocab, hidden}});
  return shapes;
}

LoadedWeights load_llama_weights(const LlamaConfig& config, const std::vector<WeightSource>& sources) {
  const auto shapes = llama_weight_shapes(config);
  std::map<std::string, const WeightSource*> by_name;
  for (const WeightSource& source : sources)
    if (!by_name.emplace(source.name, &source).second)
      fail("Expected one weight named " + source.name + " but received two");

  LoadedWeights loaded;
  std::map<std::string, std::shared_ptr<const MappedFile>> files;
  for (const auto& [name, shape] : shapes) {
    const auto found = by_name.find(name);
    if (found == by_name.end())
      fail("Expected a weight named " + name + " of shape " + shape_text(shape) + " but there is none");
    const WeightSource& source = *found->second;
    auto& file = files[source.path];
    if (!file) file = MappedFile::open(source.path);
    loaded.weights.emplace_back(name, map_weight(source, shape, file));
    by_name.erase(found);
  }
  for (const auto& [name, source] : by_name)
    if (!is_redundant(config, name))
      fail("Expected only the weights of a Llama model of " + std::to_string(config.num_layers) +
           " layers but received " + name);
  for (auto& [path, file] : files) loaded.files.push_back(std::move(file));
  return loaded;
}

}  // namespace octavo
