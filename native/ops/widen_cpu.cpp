// See widen.h.
#include <algorithm>

#include "core/check.h"
#include "ops/gemv_simd.h"
#include "ops/widen.h"

namespace octavo {

const float* widened_rows(const Tensor& weight, int64_t first_row, int64_t num_rows,
                          std::vector<float>& scratch) {
  const int64_t in = weight.shape[1], count = num_rows * in;
  if (weight.dtype == DType::kF32) return weight.f32() + first_row * in;
  if (weight.dtype == DType::kI32)
    throw Error("ERR_OCTAVO_DTYPE", "Expected f32, bf16 or f16 weights but received i32");
  if (scratch.size() < static_cast<size_t>(count)) scratch.resize(static_cast<size_t>(count));
  const GemvKernels& kernels = OCTAVO_PICK_SIMD(gemv_kernels);
  const uint16_t* from = static_cast<const uint16_t*>(weight.data) + first_row * in;
  (weight.dtype == DType::kBf16 ? kernels.widen_bf16 : kernels.widen_f16)(from, count, scratch.data());
  return scratch.data();
}

void copy_widened(const void* array, DType dtype, int64_t first, int64_t count, float* to) {
  if (dtype == DType::kF32) {
    std::copy_n(static_cast<const float*>(array) + first, count, to);
    return;
  }
  const GemvKernels& kernels = OCTAVO_PICK_SIMD(gemv_kernels);
  const auto widen = dtype == DType::kBf16 ? kernels.widen_bf16 : kernels.widen_f16;
  widen(static_cast<const uint16_t*>(array) + first, count, to);
}

void BlockRows::prefetch(int64_t block_id, int64_t kv_head) const {
  const auto bytes =
      static_cast<int64_t>(dtype_size_bytes(shape_.kv_dtype)) * shape_.block_size * shape_.head_dim;
  const char* const rows =
      static_cast<const char*>(cache_) + (block_id * shape_.num_kv_heads + kv_head) * bytes;
  for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(rows + at, 0, 3);
}

const float* BlockRows::of(int64_t block_id, int64_t kv_head, int64_t count) {
  const int64_t first = (block_id * shape_.num_kv_heads + kv_head) * shape_.block_size * shape_.head_dim;
  if (shape_.kv_dtype == DType::kF32) return static_cast<const float*>(cache_) + first;
  scratch_.resize(static_cast<size_t>(shape_.block_size) * static_cast<size_t>(shape_.head_dim));
  copy_widened(cache_, shape_.kv_dtype, first, count * shape_.head_dim, scratch_.data());
  return scratch_.data();
}

}  // namespace octavo
