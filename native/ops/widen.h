// Rows of a weight matrix, and of a cache's blocks, as fp32: in place when they are fp32 already, else
// widened into scratch memory.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "ops/paged_attention.h"

namespace octavo {

// Throws ERR_OCTAVO_DTYPE for i32.
const float* widened_rows(const Tensor& weight,  // [out, in]
                          int64_t first_row, int64_t num_rows,
                          std::vector<float>& scratch);  // grown on demand; the result may point into it

// Numbers first to first + count of an array of f32, bf16 or f16 numbers.
void copy_widened(const void* array, DType dtype, int64_t first, int64_t count, float* to);

// Keys or values of one head in one block after another, on one thread.
class BlockRows {
 public:
  // cache: [num_blocks, num_kv_heads, block_size, head_dim] of the shape's kv_dtype; outlives this.
  BlockRows(const PagedAttentionShape& shape, const void* cache) : shape_(shape), cache_(cache) {}
  // The first `count` slots' rows, [count, head_dim]; valid until the next call.
  const float* of(int64_t block_id, int64_t kv_head, int64_t count);
  // Fetches a head's rows that are read after the next ones.
  void prefetch(int64_t block_id, int64_t kv_head) const;

 private:
  PagedAttentionShape shape_;
  const void* cache_;
  std::vector<float> scratch_;
};

}  // namespace octavo
