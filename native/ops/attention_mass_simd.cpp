// See attention_mass_simd.h. Four keys at a time share the loads of the query and one reduction.
#include "ops/attention_mass_simd.h"

#include "core/simd_vector.h"

namespace octavo::OCTAVO_SIMD {
namespace {

void dots(const float* query, const float* keys, int64_t stride, int64_t count, int head_dim, float* logits) {
  for (int64_t first = 0; first < count; first += 4) {
    const float* rows[4];
    for (int64_t r = 0; r < 4; ++r) rows[r] = keys + (first + r < count ? first + r : count - 1) * stride;
    Vec sums[4] = {};
    int i = 0;
    for (; i + kLanes <= head_dim; i += kLanes) {
      const Vec q = load(query + i);
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) sums[r] += q * load(rows[r] + i);
    }
    Vec4 total = sum_each(sums[0], sums[1], sums[2], sums[3]);
    for (; i < head_dim; ++i) total += query[i] * Vec4{rows[0][i], rows[1][i], rows[2][i], rows[3][i]};
    if (first + 4 <= count) {
      store4(logits + first, total);
    } else {
      for (int64_t r = 0; first + r < count; ++r) logits[first + r] = total[r];
    }
  }
}

void add(const float* values, int64_t count, double factor, double* sums) {
  int64_t i = 0;
  for (; i + kDoubleLanes <= count; i += kDoubleLanes)
    store(sums + i, load(sums + i) + load_widened(values + i) * factor);
  for (; i < count; ++i) sums[i] += values[i] * factor;
}

// kVectors at a time stay in registers over all rows.
template <int kVectors>
inline int64_t weigh_from(int64_t first, const float* values, int64_t stride, int64_t num_rows, int64_t count,
                          const double* factors, double* sums) {
  for (; first + kVectors * kDoubleLanes <= count; first += kVectors * kDoubleLanes) {
    DoubleVec totals[kVectors] = {};
    for (int64_t row = 0; row < num_rows; ++row)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v)
        totals[v] += load_widened(values + row * stride + first + v * kDoubleLanes) * factors[row];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(sums + first + v * kDoubleLanes, totals[v]);
  }
  return first;
}

void weigh(const float* values, int64_t stride, int64_t num_rows, int64_t count, const double* factors,
           double* sums) {
  int64_t i = weigh_from<4>(0, values, stride, num_rows, count, factors, sums);
  i = weigh_from<1>(i, values, stride, num_rows, count, factors, sums);
  for (; i < count; ++i) {
    sums[i] = 0;
    for (int64_t row = 0; row < num_rows; ++row) sums[i] += values[row * stride + i] * factors[row];
  }
}

void add_rows(const double* values, int64_t stride, int64_t num_rows, int64_t count, float* sums) {
  using HalfVec __attribute__((vector_size(OCTAVO_SIMD_BYTES / 2))) = float;
  int64_t i = 0;
  for (; i + kDoubleLanes <= count; i += kDoubleLanes) {
    DoubleVec total = load(values + i);
    for (int64_t row = 1; row < num_rows; ++row) total += load(values + row * stride + i);
    LooseHalfVec* const to = reinterpret_cast<LooseHalfVec*>(sums + i);
    *to = *to + __builtin_convertvector(total, HalfVec);
  }
  for (; i < count; ++i) {
    double total = values[i];
    for (int64_t row = 1; row < num_rows; ++row) total += values[row * stride + i];
    sums[i] += static_cast<float>(total);
  }
}

}  // namespace

const AttentionMassKernels& attention_mass_kernels() {
  static constexpr AttentionMassKernels kernels = {dots, add, weigh, add_rows};
  return kernels;
}

}  // namespace octavo::OCTAVO_SIMD
