// oneDNN's matmul on slices of a fixed size, one thread a call. Weights are used where they lie: each slice's
// columns are packed on the fly, which costs little against the rows they are multiplied with and keeps no
// second copy of a model.
#include "ops/gemm_bf16.h"

#ifdef OCTAVO_ONEDNN
#include <omp.h>

#include <algorithm>
#include <compare>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/signal_block.h"
#include "core/thread_pool.h"
#include "ops/gemv_simd.h"

namespace octavo {

namespace {

constexpr int64_t kColumnsPerTask = 128;  // few enough that the narrow products of attention busy two threads
constexpr int64_t kRowsPerTask = 512;
constexpr size_t kMaxProducts = 64;

const dnnl::engine& cpu_engine() {
  static const dnnl::engine& engine = *new dnnl::engine(dnnl::engine::kind::cpu, 0);  // outlives every thread
  return engine;
}

struct SliceShape {
  int64_t rows, columns, in, out;
  auto operator<=>(const SliceShape&) const = default;
};

// A prepared product of slices of one shape; its memory objects get their pointers at each call.
struct SliceProduct {
  dnnl::matmul primitive;
  dnnl::memory input, weight, output;
  dnnl::memory::desc scratchpad;
};

SliceProduct prepare(const SliceShape& shape) {
  using Description = dnnl::memory::desc;
  using Type = dnnl::memory::data_type;
  const Description input({shape.rows, shape.in}, Type::bf16, dnnl::memory::dims{shape.in, 1});
  const Description weight({shape.in, shape.columns}, Type::bf16, dnnl::memory::dims{1, shape.in});
  const Description output({shape.rows, shape.columns}, Type::f32, dnnl::memory::dims{shape.out, 1});
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(input, weight, output), attributes,
                                                 cpu_engine());
  return {.primitive = dnnl::matmul(description),
          .input = dnnl::memory(input, cpu_engine(), DNNL_MEMORY_NONE),
          .weight = dnnl::memory(weight, cpu_engine(), DNNL_MEMORY_NONE),
          .output = dnnl::memory(output, cpu_engine(), DNNL_MEMORY_NONE),
          .scratchpad = description.scratchpad_desc()};
}

// One thread's prepared products and scratch memory.
class ThreadProducts {
 public:
  void multiply(const SliceShape& shape, const uint16_t* input, const uint16_t* weight, float* output) {
    auto found = products_.find(shape);
    if (found == products_.end()) {
      if (products_.size() >= kMaxProducts) products_.clear();  // prompts of many lengths
      found = products_.emplace(shape, prepare(shape)).first;
    }
    SliceProduct& product = found->second;
    const size_t scratch_bytes = product.scratchpad.get_size();
    if (scratch_.size() < scratch_bytes) scratch_.resize(scratch_bytes);
    product.input.set_data_handle(const_cast<uint16_t*>(input));
    product.weight.set_data_handle(const_cast<uint16_t*>(weight));
    product.output.set_data_handle(output);
    const dnnl::memory scratchpad(product.scratchpad, cpu_engine(), scratch_.data());
    product.primitive.execute(stream_, {{DNNL_ARG_SRC, product.input},
                                        {DNNL_ARG_WEIGHTS, product.weight},
                                        {DNNL_ARG_DST, product.output},
                                        {DNNL_ARG_SCRATCHPAD, scratchpad}});
    stream_.wait();
  }

 private:
  dnnl::stream stream_{cpu_engine()};
  std::map<SliceShape, SliceProduct> products_;
  std::vector<std::byte> scratch_;
};

void round_to_bf16(const float* from, int64_t count, uint16_t* to) {
  const GemvKernels& kernels = OCTAVO_PICK_SIMD(gemv_kernels);
  parallel_for_worthwhile(count, static_cast<double>(count), [&](int64_t begin, int64_t end, int) {
    kernels.narrow_bf16(from + begin, end - begin, to + begin);
  });
}

void multiply(const uint16_t* rounded, const Tensor& weight, int64_t num_rows, float* output) {
  const int64_t out = weight.shape[0], in = weight.shape[1];
  const uint16_t* const weights = static_cast<const uint16_t*>(weight.data);
  const int64_t num_column_tasks = (out + kColumnsPerTask - 1) / kColumnsPerTask;
  const int64_t num_row_tasks = (num_rows + kRowsPerTask - 1) / kRowsPerTask;
  const double cost = static_cast<double>(num_rows) * out * in;
  parallel_for_chunks(num_column_tasks * num_row_tasks, cost, [&](int64_t task) {
    omp_set_num_threads(1);  // of this thread's calls only
    const SignalBlock no_signals;
    thread_local ThreadProducts products;
    const int64_t column = task / num_row_tasks * kColumnsPerTask, row = task % num_row_tasks * kRowsPerTask;
    const SliceShape shape = {.rows = std::min(kRowsPerTask, num_rows - row),
                              .columns = std::min(kColumnsPerTask, out - column),
                              .in = in,
                              .out = out};
    try {
      products.multiply(shape, rounded + row * in, weights + column * in, output + row * out + column);
    } catch (const dnnl::error& error) {
      throw Error("ERR_OCTAVO_GEMM", "oneDNN refused a bf16 product of " + std::to_string(shape.rows) +
                                         " x " + std::to_string(shape.columns) + " x " + std::to_string(in) +
                                         ": " + error.what());
    }
  });
}

}  // namespace

bool has_fast_bf16_products() {
  static const bool has = [] {
    // Each instruction set of oneDNN's list includes those before it, and holds only what the system lets
    // programs use.
    const auto isa = static_cast<int>(dnnl::get_effective_cpu_isa());
    if (isa >= static_cast<int>(dnnl::cpu_isa::avx512_core_amx)) return true;
    return isa >= static_cast<int>(dnnl::cpu_isa::avx512_core_bf16) && __builtin_cpu_is("amd");
  }();
  return has;
}

void gemm_bf16_cpu(const float* input, std::initializer_list<GemvPart> parts, int64_t num_rows) {
  const int64_t in = parts.begin()->weight->shape[1];
  thread_local std::vector<uint16_t> rounded_memory;
  if (rounded_memory.size() < static_cast<size_t>(num_rows * in))
    rounded_memory.resize(static_cast<size_t>(num_rows * in));
  uint16_t* const rounded = rounded_memory.data();
  round_to_bf16(input, num_rows * in, rounded);
  for (const GemvPart& part : parts) multiply(rounded, *part.weight, num_rows, part.output);
}

}  // namespace octavo

#else

#include "core/check.h"

namespace octavo {

bool has_fast_bf16_products() { return false; }

void gemm_bf16_cpu(const float*, std::initializer_list<GemvPart>, int64_t) {
  throw Error("ERR_OCTAVO_GEMM", "Expected a build with oneDNN for products in bf16 but this is one without");
}

}  // namespace octavo

#endif
