// Chooses the product.
#include <algorithm>

#include "core/cpu_info.h"
#include "ops/gemm.h"
#include "ops/gemm_bf16.h"

namespace octavo {

const char* gemm_library() { return has_bf16_matrix_instructions() ? "onednn" : "plain"; }

void gemm_cpu(const float* input, const Tensor& weight, int64_t num_rows, float* output) {
  gemm_cpu(input, {{&weight, output}}, num_rows);
}

void gemm_cpu(const float* input, std::initializer_list<GemvPart> parts, int64_t num_rows) {
  if (num_rows == 1) return gemv_cpu(input, parts);
  // A forced lower level means no special instructions at all.
  const bool may_round =
      num_rows >= kMinRowsForBf16 && simd_level() == best_simd_level() && has_fast_bf16_products();
  const auto rounds = [=](const GemvPart& part) { return may_round && part.weight->dtype == DType::kBf16; };
  if (std::all_of(parts.begin(), parts.end(), rounds)) return gemm_bf16_cpu(input, parts, num_rows);
  if (std::none_of(parts.begin(), parts.end(), rounds)) return gemm_fp32_cpu(input, parts, num_rows);
  for (const GemvPart& part : parts) (rounds(part) ? gemm_bf16_cpu : gemm_fp32_cpu)(input, {part}, num_rows);
}

}  // namespace octavo
