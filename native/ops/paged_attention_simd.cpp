// A split's logits first, then its values: of one maximum, nothing is ever rescaled, and keys and values are
// each one stream of rows, fetched ahead of their use. Logits in fp32. Of an fp32 cache, probabilities and
// values are accumulated in fp64, which memory speed hides: thousands of slots then add no error, and a cache
// of equal values gives that value exactly. A 16-bit cache comes twice as fast from memory and has no such
// digits to keep: runs of its slots are accumulated in fp32.
#include "ops/paged_attention_simd.h"

#include <type_traits>

#include "core/simd_vector.h"
#include "core/slot_bits.h"

namespace octavo::OCTAVO_SIMD {
namespace {

constexpr int kHeadsMax = 4;  // query heads that share one pass over keys and values
constexpr int kHeadsAtOnce = OCTAVO_SIMD_BYTES == 64 ? 4 : 2;  // of those, as many as registers hold
constexpr int kAhead = 64;         // at most so many slots ahead of their use, rows are fetched
constexpr int kAheadBytes = 8192;  // nor more than this, which any first cache holds beside those in use

// Where the keys and values of consecutive live slots lie; the same offset in both caches.
struct Slots {
  int64_t offsets[kSlotsPerSplit + kAhead + 4];
  int num_live;   // the split's
  int num_known;  // those, and live ones after them; the last is repeated to the end
};

// Dead slots are left out, so that nothing of them is ever read.
void locate_live(const PagedSplit& split, Slots& slots) {
  const int64_t end = split.first_slot + split.num_slots;
  slots.num_live = slots.num_known = 0;
  for (int64_t slot = split.first_slot; slot < split.kv_len; ++slot) {
    if (slot >= end && slots.num_known == slots.num_live + kAhead) break;
    if (slot_bit(split.dead_slots, slot, split.block_size)) continue;
    const int64_t row =
        (split.block_table[slot / split.block_size] * static_cast<int64_t>(split.num_kv_heads) +
         split.kv_head) *
            split.block_size +
        slot % split.block_size;
    slots.offsets[slots.num_known++] = row * split.head_dim;
    if (slot < end) slots.num_live = slots.num_known;
  }
}

void locate_all(const PagedSplit& split, Slots& slots) {
  slots.num_live = split.num_slots;
  const int64_t left = split.kv_len - split.first_slot;
  slots.num_known = static_cast<int>(left < split.num_slots + kAhead ? left : split.num_slots + kAhead);
  int64_t block = split.first_slot / split.block_size;
  int offset = static_cast<int>(split.first_slot % split.block_size);
  for (int i = 0; i < slots.num_known; ++block, offset = 0) {
    const int64_t base =
        (split.block_table[block] * static_cast<int64_t>(split.num_kv_heads) + split.kv_head) *
        split.block_size;
    const int in_block = split.block_size - offset, left_known = slots.num_known - i;
    const int count = in_block < left_known ? in_block : left_known;
    for (int j = 0; j < count; ++j) slots.offsets[i + j] = (base + offset + j) * split.head_dim;
    i += count;
  }
}

void locate(const PagedSplit& split, Slots& slots) {
  if (split.dead_slots)
    locate_live(split, slots);
  else
    locate_all(split, slots);
  if (slots.num_live == 0) return;
  for (int i = slots.num_known; i < slots.num_live + kAhead + 4; ++i)
    slots.offsets[i] = slots.offsets[slots.num_known - 1];
}

// A head dimension that the compiler knows, so that it unrolls loops over it; others are passed as an int.
template <int kValue>
struct Fixed {
  constexpr operator int() const { return kValue; }
};

template <typename Element, typename Dim>
inline void prefetch_row(const Element* row, Dim head_dim) {
  constexpr int kLineElements = 64 / sizeof(Element);
  for (int i = 0; i < head_dim; i += kLineElements) __builtin_prefetch(row + i, 0, 3);
}

// logits[head][slot] = query[head] · key[slot], four slots at a time. `logits` has room for a multiple of
// four slots.
template <int kHeads, typename Dim, typename Element>
inline void dot_four(const float* query, Dim head_dim, const Element* const* keys, float* logits) {
  Vec sums[kHeads][4] = {};
  int i = 0;
  for (; i + kLanes <= head_dim; i += kLanes) {
    Vec key[4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) key[s] = load_widened_vec(keys[s] + i);
#pragma GCC unroll 4
    for (int head = 0; head < kHeads; ++head) {
      const Vec q = load(query + head * head_dim + i);
#pragma GCC unroll 4
      for (int s = 0; s < 4; ++s) sums[head][s] += q * key[s];
    }
  }
#pragma GCC unroll 4
  for (int head = 0; head < kHeads; ++head) {
    Vec4 total = sum_each(sums[head][0], sums[head][1], sums[head][2], sums[head][3]);
    for (int rest = i; rest < head_dim; ++rest) {
      const Vec4 key = {widen(keys[0][rest]), widen(keys[1][rest]), widen(keys[2][rest]),
                        widen(keys[3][rest])};
      total += query[head * head_dim + rest] * key;
    }
    store4(logits + head * kSlotsPerSplit, total);
  }
}

// In what a cache's values are accumulated, and vectors of it.
template <typename Element>
struct Accumulation {
  using Number = float;
  using Vector = Vec;
  // Slots whose products are summed before they are added to the split's: a sum of many fp32 numbers one
  // after another would lose their last places.
  static constexpr int kSlotsPerSum = 32;
  static Vector load_value(const Element* from) { return load_widened_vec(from); }
};
template <>
struct Accumulation<float> {
  using Number = double;
  using Vector = DoubleVec;
  static constexpr int kSlotsPerSum = kSlotsPerSplit;
  static Vector load_value(const float* from) { return load_widened(from); }
};

inline void store_widened(double* to, DoubleVec value) { store(to, value); }
inline void store_widened(double* to, Vec value) {
  alignas(64) float numbers[kLanes];
  store(numbers, value);
  for (int i = 0; i < kLanes; i += kDoubleLanes) store(to + i, load_widened(numbers + i));
}

// The keys and values of the live slots, and of those that follow.
template <typename Element>
struct Rows {
  const Element *keys, *values;
  const int64_t* offsets;
};

// How far ahead of its use a row is fetched, in slots: a multiple of four.
template <typename Element>
inline int rows_ahead(int head_dim) {
  const int slots = kAheadBytes / static_cast<int>(sizeof(Element)) / head_dim / 4 * 4;
  return slots < kAhead ? slots : kAhead;
}

inline void keep_numerators(const SplitNumerators& to, int head, int num_slots, const float* numerators,
                            float maximum) {
  float* values = to.values + head * to.head_stride;
  for (int slot = 0; slot < num_slots; ++slot) values[slot] = numerators[slot];
  to.maxima[head * to.maxima_stride] = maximum;
}

// weighted[head][i] = the sum over slots of probability[head][slot] · value[slot][i], for kVectors vectors of
// elements from `element` on. The next keys are fetched after the values.
template <int kHeads, int kVectors, bool kPrefetch, typename Dim, typename Element>
inline void accumulate(const typename Accumulation<Element>::Number* probabilities, const Rows<Element>& rows,
                       int num_slots, Dim head_dim, int element, double* weighted) {
  using Vector = typename Accumulation<Element>::Vector;
  constexpr int kStep = sizeof(Vector) / sizeof(typename Accumulation<Element>::Number);
  constexpr int kSlotsPerSum = Accumulation<Element>::kSlotsPerSum;
  Vector totals[kHeads][kVectors] = {};
  for (int begin = 0; begin < num_slots; begin += kSlotsPerSum) {
    const int end = begin + kSlotsPerSum < num_slots ? begin + kSlotsPerSum : num_slots;
    Vector sums[kHeads][kVectors] = {};
    for (int slot = begin; slot < end; ++slot) {
      if (kPrefetch) {
        const int ahead = slot + rows_ahead<Element>(head_dim);
        prefetch_row((ahead < num_slots ? rows.values : rows.keys) + rows.offsets[ahead], head_dim);
      }
      const Element* value = rows.values + rows.offsets[slot] + element;
      Vector factors[kHeads];
#pragma GCC unroll 4
      for (int head = 0; head < kHeads; ++head)
        factors[head] = splat(probabilities[head * kSlotsPerSplit + slot]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        const Vector widened = Accumulation<Element>::load_value(value + v * kStep);
#pragma GCC unroll 4
        for (int head = 0; head < kHeads; ++head) sums[head][v] += factors[head] * widened;
      }
    }
#pragma GCC unroll 4
    for (int head = 0; head < kHeads; ++head)
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) totals[head][v] += sums[head][v];
  }
#pragma GCC unroll 4
  for (int head = 0; head < kHeads; ++head)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      store_widened(weighted + head * head_dim + element + v * kStep, totals[head][v]);
}

template <int kHeads, typename Dim, typename Element>
inline void accumulate_all(const typename Accumulation<Element>::Number* probabilities,
                           const Rows<Element>& rows, int num_slots, Dim head_dim, double* weighted) {
  constexpr int kStep =
      sizeof(typename Accumulation<Element>::Vector) / sizeof(typename Accumulation<Element>::Number);
  // As many accumulators as leave registers for a value and the heads' factors.
  constexpr int kMany = OCTAVO_SIMD_BYTES == 64 && kHeads <= 3 && sizeof(Element) == 4 ? 8 : 4;
  int element = 0;
  if (kMany * kStep <= head_dim) {
    accumulate<kHeads, kMany, true>(probabilities, rows, num_slots, head_dim, element, weighted);
    element += kMany * kStep;
  }
  for (; element + kMany * kStep <= head_dim; element += kMany * kStep)
    accumulate<kHeads, kMany, false>(probabilities, rows, num_slots, head_dim, element, weighted);
  for (; element + 4 * kStep <= head_dim; element += 4 * kStep)
    accumulate<kHeads, 4, false>(probabilities, rows, num_slots, head_dim, element, weighted);
  for (; element + kStep <= head_dim; element += kStep)
    accumulate<kHeads, 1, false>(probabilities, rows, num_slots, head_dim, element, weighted);
  for (; element < head_dim; ++element)
    for (int head = 0; head < kHeads; ++head) {
      double total = 0;
      for (int slot = 0; slot < num_slots; ++slot)
        total += static_cast<double>(probabilities[head * kSlotsPerSplit + slot]) *
                 widen(rows.values[rows.offsets[slot] + element]);
      weighted[head * head_dim + element] = total;
    }
}

// By halves: sum() adds one lane after another.
inline double sum_of(DoubleVec value) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_pd((__m512d)value);
#else
  return sum(value);
#endif
}
inline double sum_of(Vec value) { return sum(value); }

// Turns logits into numerators relative to their maximum, which it returns.
template <typename Number>
inline float exponentiate(float* logits, int num_slots, float scale, double& sum_of_numerators,
                          Number* probabilities) {
  using Sum = std::conditional_t<sizeof(Number) == sizeof(float), Vec, DoubleVec>;
  constexpr float kInfinity = __builtin_inff();
  int padded = num_slots;
  for (; padded % kLanes != 0; ++padded) logits[padded] = -kInfinity;
  Vec largest = splat(-kInfinity);
  for (int i = 0; i < padded; i += kLanes) {
    const Vec scaled = load(logits + i) * scale;
    store(logits + i, scaled);
    largest = scaled > largest ? scaled : largest;
  }
  const float maximum = max_lane(largest);
  Sum total{};
  for (int i = 0; i < padded; i += kLanes) {
    const Vec numerators = exponential_of_negative(load(logits + i) - maximum);
    store(logits + i, numerators);
    if constexpr (sizeof(Number) == sizeof(float)) {
      store(probabilities + i, numerators);
      total += numerators;
    } else {
      for (int half = i; half < i + kLanes; half += kDoubleLanes) {
        const DoubleVec widened = load_widened(logits + half);
        store(probabilities + half, widened);
        total += widened;
      }
    }
  }
  sum_of_numerators = sum_of(total);
  return maximum;
}

template <int kHeads, typename Element, typename Dim>
inline void attend_heads(const PagedSplit& split, Dim head_dim, const Rows<Element>& rows, int num_slots,
                         int first_head, float* maxima, double* sums, double* weighted) {
  constexpr int kFull = kHeads < kHeadsAtOnce ? kHeads : kHeadsAtOnce;
  constexpr int kRest = kHeads % kFull;
  const float* query = split.query + first_head * head_dim;
  alignas(64) float logits[kHeads][kSlotsPerSplit];
  alignas(64) typename Accumulation<Element>::Number probabilities[kHeads][kSlotsPerSplit];
  const int num_padded = (num_slots + 3) / 4 * 4;
  for (int slot = 0; slot < num_slots; slot += 4) {
    const int ahead = slot + rows_ahead<Element>(head_dim);
    const Element* const next = ahead < num_slots ? rows.keys : rows.values;
    const int64_t* const next_offsets = rows.offsets + (ahead < num_slots ? ahead : ahead - num_padded);
    for (int s = 0; s < 4; ++s) prefetch_row(next + next_offsets[s], head_dim);
    const Element* keys[4];
    for (int s = 0; s < 4; ++s) keys[s] = rows.keys + rows.offsets[slot + s];
    for (int head = 0; head < kHeads; head += kHeadsAtOnce) {
      if (head + kFull <= kHeads)
        dot_four<kFull>(query + head * head_dim, head_dim, keys, &logits[head][slot]);
      else if constexpr (kRest > 0)
        dot_four<kRest>(query + head * head_dim, head_dim, keys, &logits[head][slot]);
    }
  }
  for (int head = 0; head < kHeads; ++head) {
    maxima[first_head + head] =
        exponentiate(logits[head], num_slots, split.scale, sums[first_head + head], probabilities[head]);
    if (split.numerators.values)
      keep_numerators(split.numerators, first_head + head, num_slots, logits[head],
                      maxima[first_head + head]);
  }
  double* target = weighted + first_head * static_cast<int64_t>(head_dim);
  for (int head = 0; head < kHeads; head += kHeadsAtOnce) {
    if (head + kFull <= kHeads)
      accumulate_all<kFull>(probabilities[head], rows, num_slots, head_dim, target + head * head_dim);
    else if constexpr (kRest > 0)
      accumulate_all<kRest>(probabilities[head], rows, num_slots, head_dim, target + head * head_dim);
  }
}

template <typename Element, typename Dim>
void attend_dim(const PagedSplit& split, Dim head_dim, float* maxima, double* sums, double* weighted) {
  Slots slots;
  locate(split, slots);
  if (slots.num_live == 0) {
    for (int head = 0; head < split.group_size; ++head) maxima[head] = -__builtin_inff(), sums[head] = 0;
    for (int64_t i = 0; i < static_cast<int64_t>(split.group_size) * head_dim; ++i) weighted[i] = 0;
    return;
  }
  const Rows<Element> rows = {static_cast<const Element*>(split.key_cache),
                              static_cast<const Element*>(split.value_cache), slots.offsets};
  for (int head = 0; head < split.group_size; head += kHeadsMax) {
    switch (split.group_size - head) {
      case 1:
        attend_heads<1>(split, head_dim, rows, slots.num_live, head, maxima, sums, weighted);
        break;
      case 2:
        attend_heads<2>(split, head_dim, rows, slots.num_live, head, maxima, sums, weighted);
        break;
      case 3:
        attend_heads<3>(split, head_dim, rows, slots.num_live, head, maxima, sums, weighted);
        break;
      default:
        attend_heads<4>(split, head_dim, rows, slots.num_live, head, maxima, sums, weighted);
    }
  }
}

template <typename Element>
void attend(const PagedSplit& split, float* maxima, double* sums, double* weighted) {
  switch (split.head_dim) {
    case 64:
      return attend_dim<Element>(split, Fixed<64>{}, maxima, sums, weighted);
    case 128:
      return attend_dim<Element>(split, Fixed<128>{}, maxima, sums, weighted);
    default:
      return attend_dim<Element>(split, split.head_dim, maxima, sums, weighted);
  }
}

}  // namespace

const PagedAttentionKernels& paged_attention_kernels() {
  static constexpr PagedAttentionKernels kernels = {attend<float>, attend<Bf16>, attend<F16>};
  return kernels;
}

}  // namespace octavo::OCTAVO_SIMD
