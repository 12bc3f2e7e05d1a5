// Models of any shape without a file. Each weight's numbers depend on the seed, its place in the list and its
// elements' indices alone, so a model is the same for every number of threads.
#include <cmath>

#include "core/half.h"
#include "core/random.h"
#include "core/thread_pool.h"
#include "model/llama.h"
#include "model/llama_weights.h"

namespace octavo {

namespace {

constexpr float kStandardDeviation = 0.02f;

void fill_ones(Tensor& tensor) {
  for (int64_t i = 0; i < tensor.num_elements(); ++i) tensor.f32()[i] = 1.0f;
}

void store(Tensor& tensor, int64_t index, float value) {
  if (tensor.dtype == DType::kF32)
    tensor.f32()[index] = value;
  else
    static_cast<uint16_t*>(tensor.data)[index] =
        tensor.dtype == DType::kBf16 ? narrow_to_bf16(value) : narrow_to_f16(value);
}

// Four numbers a counter, by Box-Muller on its four words.
void fill_normal(Tensor& tensor, uint64_t seed, uint32_t weight_index) {
  constexpr float kTwoPi = 6.28318531f;
  const int64_t count = tensor.num_elements();
  ThreadPool::shared().parallel_for((count + 3) / 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const auto words = philox4x32(seed, {static_cast<uint32_t>(unit), static_cast<uint32_t>(unit >> 32),
                                           weight_index, static_cast<uint32_t>(RandomStream::kWeights)});
      for (int pair = 0; pair < 2; ++pair) {
        const float radius =
            std::sqrt(-2.0f * std::log((static_cast<float>(words[2 * pair] >> 8) + 1) * 0x1p-24f));
        const float angle = kTwoPi * static_cast<float>(words[2 * pair + 1] >> 8) * 0x1p-24f;
        const int64_t index = unit * 4 + pair * 2;
        if (index < count) store(tensor, index, kStandardDeviation * radius * std::cos(angle));
        if (index + 1 < count) store(tensor, index + 1, kStandardDeviation * radius * std::sin(angle));
      }
    }
  });
}

}  // namespace

LlamaModel LlamaModel::random(const LlamaConfig& config, uint64_t seed, DType dtype) {
  LlamaModel model(config);
  uint32_t weight_index = 0;
  for (const auto& [name, shape] : llama_weight_shapes(config)) {
    const bool is_norm = shape.size() == 1;
    Tensor tensor = Tensor::zeros(is_norm ? DType::kF32 : dtype, shape);
    if (is_norm)
      fill_ones(tensor);
    else
      fill_normal(tensor, seed, weight_index);
    ++weight_index;
    model.weights_.emplace_back(name, std::move(tensor));
  }
  model.assemble();
  return model;
}

}  // namespace octavo
