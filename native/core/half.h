// fp32 to the two 16-bit types, rounding to nearest even, and back, which is exact.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace octavo {

inline uint16_t narrow_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value))
    return static_cast<uint16_t>((bits >> 16) | 0x40);  // rounding could turn NaN into infinity
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

inline uint16_t narrow_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const float magnitude = std::fabs(value);
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7E00);
  if (magnitude >= 65520.0f) return static_cast<uint16_t>(sign | 0x7C00);
  if (magnitude < 0x1p-14f)
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyint(magnitude * 0x1p24f)));
  const uint32_t rounded = (bits & 0x7FFFFFFF) + 0xFFF + ((bits >> 13) & 1);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000) >> 13));
}

inline float widen_bf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

inline float widen_f16(uint16_t bits) {
  const uint32_t magnitude = static_cast<uint32_t>(bits & 0x7FFF) << 13;
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  // The scaling makes the exponent right for normal and subnormal numbers; infinity and NaN keep all ones.
  const bool is_finite = (bits & 0x7C00) != 0x7C00;
  const uint32_t wide = is_finite ? std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f)
                                  : magnitude | 0x7F800000;
  return std::bit_cast<float>(wide | sign);
}

}  // namespace octavo
