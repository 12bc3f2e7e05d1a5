// The weights a Llama checkpoint must have: names and shapes that follow from the configuration.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "model/llama.h"

namespace octavo {

// In the order: embedding, each layer's nine, final norm, head (absent when tied). Source: Hugging Face's
// names.
std::vector<std::pair<std::string, std::vector<int64_t>>> llama_weight_shapes(const LlamaConfig& config);

// Weights per layer in the list above.
constexpr int kWeightsPerLayer = 9;

struct LoadedWeights {
  std::vector<std::pair<std::string, Tensor>> weights;  // in the order of llama_weight_shapes
  std::vector<std::shared_ptr<const MappedFile>> files;
};

// Maps the files. A weight whose place in the file does not suit its type's alignment is copied. Throws
// ERR_OCTAVO_MODEL_WEIGHTS when one is missing, doubled, of a wrong shape, size or type, or unknown (as a
// bias would be: leaving it out would give wrong results); ERR_OCTAVO_MODEL_FILE for a bad file or range.
LoadedWeights load_llama_weights(const LlamaConfig& config, const std::vector<WeightSource>& sources);

}  // namespace octavo
