// ‖values‖₂² in double precision, by eight partial sums in a fixed order: products of fp32 numbers are exact
// in fp64, so every machine gets the same bits.
#pragma once

namespace octavo {

inline double sum_of_squares(const float* values, int count) {
  constexpr int kSums = 8;
  double sums[kSums] = {};
  int i = 0;
  for (; i + kSums <= count; i += kSums)
    for (int j = 0; j < kSums; ++j) sums[j] += static_cast<double>(values[i + j]) * values[i + j];
  for (int j = 0; i < count; ++i, ++j) sums[j] += static_cast<double>(values[i]) * values[i];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

}  // namespace octavo
