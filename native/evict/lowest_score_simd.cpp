// See lowest_score_simd.h. The two lowest scores first, then the oldest token of the lowest.
#include "evict/lowest_score_simd.h"

#include "core/simd_vector.h"

namespace octavo::OCTAVO_SIMD {
namespace {

using LooseIntVec __attribute__((vector_size(OCTAVO_SIMD_BYTES), aligned(4), may_alias)) = int32_t;

// Vectors in turn, so that no result waits for the one before it.
constexpr int kVectors = 2;
constexpr int kAtOnce = kVectors * kLanes;
constexpr int32_t kNewest = 0x7fffffff;

// Calls body(positions, scores, vector) for all slots, filled up with some at position -1.
template <typename Body>
inline void for_vectors(const int32_t* positions, const float* scores, int64_t num_slots, Body&& body) {
  const auto take = [&](const int32_t* its_positions, const float* its_scores) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v)
      body(IntVec(*reinterpret_cast<const LooseIntVec*>(its_positions + v * kLanes)),
           load(its_scores + v * kLanes), v);
  };
  int64_t slot = 0;
  for (; slot + kAtOnce <= num_slots; slot += kAtOnce) take(positions + slot, scores + slot);
  if (slot == num_slots) return;
  int32_t last_positions[kAtOnce];
  float last_scores[kAtOnce];
  for (int i = 0; i < kAtOnce; ++i) {
    const bool is_slot = slot + i < num_slots;
    last_positions[i] = is_slot ? positions[slot + i] : -1;
    last_scores[i] = is_slot ? scores[slot + i] : 0;
  }
  take(last_positions, last_scores);
}

void find(const int32_t* positions, const float* scores, int64_t num_slots, int32_t begin, int32_t end,
          LowestScore* result) {
  constexpr float kInfinity = __builtin_inff();
  const Vec infinity = splat(kInfinity);
  Vec lowest[kVectors], second[kVectors];
  IntVec minus_count[kVectors] = {};
  for (int v = 0; v < kVectors; ++v) lowest[v] = second[v] = infinity;
  for_vectors(positions, scores, num_slots, [&](IntVec position, Vec score, int v) {
    const IntVec is_candidate = (position >= begin) & (position < end);
    const Vec key = is_candidate ? score : infinity;  // NaN is never the lower one
    const Vec higher = key < lowest[v] ? lowest[v] : key;
    lowest[v] = key < lowest[v] ? key : lowest[v];
    second[v] = higher < second[v] ? higher : second[v];
    minus_count[v] += is_candidate;
  });
  *result = {kNewest, 0, kInfinity, kInfinity};
  for (int v = 0; v < kVectors; ++v)
    for (int lane = 0; lane < kLanes; ++lane) {
      for (const float each : {lowest[v][lane], second[v][lane]}) {
        const float higher = each < result->score ? result->score : each;
        if (each < result->score) result->score = each;
        if (higher < result->runner_up) result->runner_up = higher;
      }
      result->num_candidates -= minus_count[v][lane];
    }

  const Vec found = splat(result->score);
  const IntVec newest = IntVec{} + kNewest;
  IntVec oldest[kVectors];
  for (int v = 0; v < kVectors; ++v) oldest[v] = newest;
  for_vectors(positions, scores, num_slots, [&](IntVec position, Vec score, int v) {
    const Vec key = score < infinity ? score : infinity;
    const IntVec of_lowest = (position >= begin) & (position < end) & (key == found) ? position : newest;
    oldest[v] = of_lowest < oldest[v] ? of_lowest : oldest[v];
  });
  for (int v = 0; v < kVectors; ++v)
    for (int lane = 0; lane < kLanes; ++lane)
      if (oldest[v][lane] < result->position) result->position = oldest[v][lane];
}

}  // namespace

const LowestScoreKernels& lowest_score_kernels() {
  static constexpr LowestScoreKernels kernels = {find};
  return kernels;
}

}  // namespace octavo::OCTAVO_SIMD
