// What bindings need besides sessions: the engine's description, models, and its attention op on plain
// arrays.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/llama.h"

namespace octavo {

struct EngineInfo {
  std::string version;
  std::string simd;  // "avx512", "avx2" or "portable"
  std::string gemm;  // "onednn" or "plain"
  int num_threads;
  bool cuda_compiled;
  int num_cuda_devices;
};

EngineInfo engine_info();

// Threads for all ops of this process. Throws ERR_OCTAVO_ARGUMENT outside 1 to 256.
void set_num_threads(int num_threads);

// Throws ERR_OCTAVO_MODEL_CONFIG, ERR_OCTAVO_MODEL_WEIGHTS, ERR_OCTAVO_MODEL_FILE.
std::shared_ptr<const LlamaModel> open_model(const LlamaConfig& config,
                                             const std::vector<WeightSource>& sources);

// Throws ERR_OCTAVO_MODEL_CONFIG, and ERR_OCTAVO_MEMORY for a model larger than this machine's memory.
std::shared_ptr<const LlamaModel> make_random_model(const LlamaConfig& config, uint64_t seed);

// Arguments of paged_attention_on_arrays; views that the caller keeps alive.
struct PagedAttentionCall {
  int num_query_heads, num_kv_heads, head_dim, block_size;
  const float* query;  // [num_query_heads, head_dim]
  int64_t query_size;
  const float* key_cache;  // [num_blocks, num_kv_heads, block_size, head_dim]
  int64_t key_cache_size;
  const float* value_cache;  // [num_blocks, num_kv_heads, block_size, head_dim]
  int64_t value_cache_size;
  std::vector<int32_t> block_table;  // [at least ceil(kv_len / block_size)]
  int64_t kv_len;
  float scale;
};

// The engine's own op with every size and block id checked. Gives [num_query_heads, head_dim].
// Throws ERR_OCTAVO_ARGUMENT naming the argument.
std::vector<float> paged_attention_on_arrays(const PagedAttentionCall& call);

}  // namespace octavo
