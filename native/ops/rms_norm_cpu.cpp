// See rms_norm.h.
#include <cmath>

#include "core/thread_pool.h"
#include "ops/rms_norm.h"
#include "ops/sum_of_squares.h"

namespace octavo {

void rms_norm_cpu(const float* input, const float* weight, int64_t num_rows, int size, double epsilon,
                  float* output) {
  parallel_for_worthwhile(
      num_rows, static_cast<double>(num_rows) * size * 4, [&](int64_t begin, int64_t end, int) {
        for (int64_t row = begin; row < end; ++row) {
          const float* from = input + row * size;
          float* to = output + row * size;
          const float factor =
              static_cast<float>(1.0 / std::sqrt(sum_of_squares(from, size) / size + epsilon));
          for (int i = 0; i < size; ++i) to[i] = from[i] * factor * weight[i];
        }
      });
}

}  // namespace octavo
