// The choice of one token, which decoding with tokens as unit makes in every layer of every step: in passes
// over the slots as they stand, without a list of those that it is chosen among.
#pragma once

#include <cstdint>

#include "core/simd.h"

namespace octavo {

struct LowestScore {
  int32_t position;  // the lowest among those of the lowest score
  int32_t num_candidates;
  float score, runner_up;  // the two lowest, +infinity where there are fewer below it
};

struct LowestScoreKernels {
  // Among the slots at positions [begin, end), begin at least 0. A NaN score counts as +infinity.
  void (*find)(const int32_t* positions,  // [num_slots], each at most once in [begin, end)
               const float* scores,       // [num_slots]
               int64_t num_slots, int32_t begin, int32_t end, LowestScore* result);
};

OCTAVO_DECLARE_SIMD(LowestScoreKernels, lowest_score_kernels);

}  // namespace octavo
