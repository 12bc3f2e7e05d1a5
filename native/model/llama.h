// A Llama-architecture decoder, cut into the pieces that a session drives layer by layer: between
// `project_qkv` and `finish_layer` the session caches, evicts and attends.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/mapped_file.h"
#include "core/tensor.h"
#include "ops/rope.h"

namespace octavo {

struct LlamaConfig {
  int num_layers;
  int hidden_size;
  int intermediate_size;
  int num_query_heads;
  int num_kv_heads;
  int head_dim;
  int vocab_size;
  int64_t max_positions;
  double rms_norm_eps;
  double rope_theta;
  std::optional<RopeScaling> rope_scaling;
  bool tie_word_embeddings;
};

// Where one weight lies in a file, as read from a safetensors header. Byte offsets count from the file's
// start.
struct WeightSource {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::string path;
  int64_t offset_bytes;
  int64_t size_bytes;
};

// What the rows of a product are.
enum class Rows {
  kOneSequence,    // tokens of one sequence: many rows take the fastest product
  kManySequences,  // a token each of as many sequences: every row has the bits that it would have alone
};

// Scratch memory of one caller; reused from call to call and grown on demand. One thread at a time.
struct LlamaWorkspace {
  std::vector<float> normed, gate, up;
  // Cosines and sines of the positions seen last: all layers of a step rotate by the same angles.
  std::vector<int64_t> rope_positions;
  std::vector<float> rope_cosines, rope_sines;  // [num_tokens, head_dim / 2]
};

// Throws ERR_OCTAVO_MODEL_CONFIG unless every number is in range and the head counts fit each other.
void check_llama_config(const LlamaConfig& config);

// Weights stay where the file is mapped, in the type they are stored in. Immutable after construction:
// sessions on several threads may share one model, each with its own workspace.
class LlamaModel {
 public:
  // Maps the files and checks that every weight is there with the shape the configuration asks for.
  // Throws Error: ERR_OCTAVO_MODEL_CONFIG, ERR_OCTAVO_MODEL_WEIGHTS, ERR_OCTAVO_MODEL_FILE.
  LlamaModel(const LlamaConfig& config, const std::vector<WeightSource>& sources);
  // Weights drawn from a seeded normal distribution (standard deviation 0.02), for benchmarks and tests. Norm
  // weights are 1 and always f32. Throws ERR_OCTAVO_MODEL_CONFIG.
  static LlamaModel random(const LlamaConfig& config, uint64_t seed, DType dtype = DType::kF32);

  const LlamaConfig& config() const { return config_; }
  int64_t num_parameters() const;
  const std::vector<std::pair<std::string, Tensor>>& weights() const { return weights_; }

  // Throws ERR_OCTAVO_MODEL_FILE when a mapped file has changed since it was opened: what was computed may
  // come of other weights, or of zeros in their place.
  void require_unchanged() const;
  // The same of what has been read so far, without a call to the system.
  void require_read_whole() const;

  // Throws ERR_OCTAVO_TOKEN for a token outside the vocabulary, and ERR_OCTAVO_MODEL_FILE as
  // require_unchanged does.
  void embed(const int32_t* tokens,  // [num_tokens], each within the vocabulary
             int64_t num_tokens,
             float* hidden) const;  // [num_tokens, hidden_size]

  // Radians per position of each pair of a head's elements: [head_dim / 2].
  const std::vector<double>& rope_frequencies() const { return rope_frequencies_; }

  // RMSNorm, the three projections, and RoPE on queries and keys.
  void project_qkv(int layer, const float* hidden,  // [num_tokens, hidden_size]
                   const int64_t* positions,        // [num_tokens], the RoPE index of each token
                   int64_t num_tokens, LlamaWorkspace& workspace,
                   float* query,  // [num_tokens, num_query_heads, head_dim]
                   float* key,    // [num_tokens, num_kv_heads, head_dim]
                   float* value,  // [num_tokens, num_kv_heads, head_dim]
                   Rows rows = Rows::kOneSequence) const;

  // The queries alone, as project_qkv made them of the same hidden states.
  void project_query(int layer, const float* hidden,  // [num_tokens, hidden_size]
                     const int64_t* positions,        // [num_tokens]
                     int64_t num_tokens, LlamaWorkspace& workspace,
                     float* query) const;  // [num_tokens, num_query_heads, head_dim]

  // Output projection and SwiGLU feed-forward, each added to the residual stream in place.
  void finish_layer(int layer, const float* attention,  // [num_tokens, num_query_heads * head_dim]
                    int64_t num_tokens, LlamaWorkspace& workspace,
                    float* hidden,  // [num_tokens, hidden_size], updated
                    Rows rows = Rows::kOneSequence) const;

  // Final norm and head, for one token.
  void logits(const float* hidden,  // [hidden_size]
              LlamaWorkspace& workspace,
              float* logits) const;  // [vocab_size]
  // The same for a token of each of several sequences, as Rows::kManySequences.
  void logits_of_many(const float* hidden,  // [num_sequences, hidden_size]
                      int64_t num_sequences, LlamaWorkspace& workspace,
                      float* logits) const;  // [num_sequences, vocab_size]

 private:
  struct Layer {
    Tensor attention_norm, query, key, value, output, mlp_norm, gate, up, down;  // norms are f32
  };
  explicit LlamaModel(const LlamaConfig& config);
  void assemble();
  const float* attention_input(const Layer& layer, const float* hidden, int64_t num_tokens,
                               LlamaWorkspace& workspace) const;

  LlamaConfig config_;
  std::vector<std::pair<std::string, Tensor>>
      weights_;  // by Hugging Face name, in the order of llama_weight_shapes
  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::vector<Layer> layers_;
  Tensor embedding_, final_norm_, head_;
  std::vector<double> rope_frequencies_;  // [head_dim / 2], radians per position
};

}  // namespace octavo
