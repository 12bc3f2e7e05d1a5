// Checks stand here and not in the op, which runs in every layer of every step on arguments known to be
// sound.
#include "session/engine.h"

#include <unistd.h>

#include "core/build_info.h"
#include "core/check.h"
#include "core/cpu_info.h"
#include "core/cuda.h"
#include "core/thread_pool.h"
#include "ops/paged_attention.h"

namespace octavo {

namespace {

// In double precision: sizes that a caller made up may overflow any integer.
double num_parameters_of(const LlamaConfig& config) {
  const double hidden = config.hidden_size;
  const double query = static_cast<double>(config.num_query_heads) * config.head_dim;
  const double key_value = static_cast<double>(config.num_kv_heads) * config.head_dim;
  const double layer = 2 * hidden * (query + key_value) + 3 * hidden * config.intermediate_size + 2 * hidden;
  const double embeddings = (config.tie_word_embeddings ? 1 : 2) * hidden * config.vocab_size;
  return config.num_layers * layer + embeddings + hidden;
}

void require(bool holds, const std::string& expected, int64_t received) {
  if (!holds) {
    throw Error("ERR_OCTAVO_ARGUMENT", "Expected " + expected + " but received " + std::to_string(received));
  }
}

}  // namespace

EngineInfo engine_info() {
  const CudaInfo cuda = cuda_info();
  return {.version = engine_version(),
          .simd = simd_level_name(simd_level()),
          .gemm = gemm_library(),
          .num_threads = ThreadPool::shared().num_threads(),
          .cuda_compiled = cuda.compiled,
          .num_cuda_devices = cuda.num_devices};
}

void set_num_threads(int num_threads) {
  require(num_threads >= 1 && num_threads <= 256, "1 to 256 for numThreads", num_threads);
  ThreadPool::shared().resize(num_threads);
}

std::shared_ptr<const LlamaModel> open_model(const LlamaConfig& config,
                                             const std::vector<WeightSource>& sources) {
  return std::make_shared<const LlamaModel>(config, sources);
}

std::shared_ptr<const LlamaModel> make_random_model(const LlamaConfig& config, uint64_t seed) {
  const double needed = num_parameters_of(config) * sizeof(float);
  const double memory =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  if (needed > memory) {
    throw Error("ERR_OCTAVO_MEMORY", "Expected a model that fits this machine's memory of " +
                                         std::to_string(static_cast<int64_t>(memory / 1e6)) +
                                         " MB but this shape takes " + std::to_string(needed / 1e6) + " MB");
  }
  return std::make_shared<const LlamaModel>(LlamaModel::random(config, seed));
}

std::vector<float> paged_attention_on_arrays(const PagedAttentionCall& call) {
  require(call.num_query_heads >= 1, "at least 1 for numQueryHeads", call.num_query_heads);
  require(call.num_kv_heads >= 1, "at least 1 for numKvHeads", call.num_kv_heads);
  require(call.head_dim >= 1, "at least 1 for headDim", call.head_dim);
  require(call.block_size >= 1, "at least 1 for blockSize", call.block_size);
  require(call.num_query_heads % call.num_kv_heads == 0,
          "a multiple of numKvHeads (" + std::to_string(call.num_kv_heads) + ") for numQueryHeads",
          call.num_query_heads);
  require(call.kv_len >= 1, "at least 1 for kvLen", call.kv_len);

  int64_t query_elements = 0;
  int64_t block_elements = 0;
  const bool overflows =
      __builtin_mul_overflow(int64_t{call.num_query_heads}, int64_t{call.head_dim}, &query_elements) ||
      __builtin_mul_overflow(int64_t{call.num_kv_heads} * call.head_dim, int64_t{call.block_size},
                             &block_elements);
  require(!overflows, "a block that memory can hold for blockSize", call.block_size);
  require(call.query_size == query_elements, std::to_string(query_elements) + " elements for query",
          call.query_size);
  require(call.key_cache_size % block_elements == 0,
          "a multiple of a block (" + std::to_string(block_elements) + ") elements for keyCache",
          call.key_cache_size);
  require(call.value_cache_size == call.key_cache_size,
          "as many elements as keyCache (" + std::to_string(call.key_cache_size) + ") for valueCache",
          call.value_cache_size);

  const int64_t num_blocks = call.key_cache_size / block_elements;
  const int64_t blocks_needed = (call.kv_len - 1) / call.block_size + 1;
  const auto table_size = static_cast<int64_t>(call.block_table.size());
  require(table_size >= blocks_needed,
          "at least " + std::to_string(blocks_needed) + " entries for blockTable", table_size);
  for (int64_t index = 0; index < blocks_needed; ++index) {
    const int32_t block_id = call.block_table[static_cast<size_t>(index)];
    require(block_id >= 0 && block_id < num_blocks,
            "block ids below " + std::to_string(num_blocks) + " in blockTable", block_id);
  }

  std::vector<float> output(static_cast<size_t>(query_elements));
  paged_attention_cpu({.num_query_heads = call.num_query_heads,
                       .num_kv_heads = call.num_kv_heads,
                       .head_dim = call.head_dim,
                       .block_size = call.block_size},
                      call.query,
                      {.key_cache = call.key_cache,
                       .value_cache = call.value_cache,
                       .block_table = call.block_table.data(),
                       .kv_len = call.kv_len},
                      call.scale, output.data());
  return output;
}

}  // namespace octavo
