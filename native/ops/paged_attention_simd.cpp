// Logits in fp32. Of an fp32 cache, probabilities and values are accumulated in fp64, which memory speed
// hides: thousands of slots then add no error, and a cache of equal values gives that value exactly. A 16-bit
// cache comes twice as fast from memory and has no such digits to keep: a tile is accumulated in fp32.
#include "ops/paged_attention_simd.h"

#include <type_traits>

#include "core/simd_vector.h"
#include "core/slot_bits.h"

namespace octavo::OCTAVO_SIMD {
namespace {

constexpr int kTile = kSlotsPerTile;  // slots whose keys and values are in the first cache together
constexpr int kHeadsMax = 4;          // query heads that share one pass over a tile
constexpr int kHeadsAtOnce = OCTAVO_SIMD_BYTES == 64 ? 4 : 2;  // of those, as many as registers hold

// Where the keys and values of consecutive live slots lie; the same offset in both caches.
struct Slots {
  int64_t offsets[kSlotsPerSplit + kTile];
  int num_live;   // the split's
  int num_known;  // those, and live ones after them
};

// Dead slots are left out, so that nothing of them is ever read.
void locate_live(const PagedSplit& split, Slots& slots) {
  const int64_t end = split.first_slot + split.num_slots;
  slots.num_live = slots.num_known = 0;
  for (int64_t slot = split.first_slot; slot < split.kv_len; ++slot) {
    if (slot >= end && slots.num_known == slots.num_live + kTile) break;
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

void locate(const PagedSplit& split, Slots& slots) {
  if (split.dead_slots) return locate_live(split, slots);
  slots.num_live = split.num_slots;
  const int64_t left = split.kv_len - split.first_slot;
  slots.num_known = static_cast<int>(left < split.num_slots + kTile ? left : split.num_slots + kTile);
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
    store4(logits + head * kTile, total);
  }
}

// Rows that will be needed next, fetched one at a time between other work: a burst of them would wait for the
// memory system to take them in.
template <typename Element>
struct Upcoming {
  const Element* cache;
  const int64_t* offsets;
  int count;
};

// In what a cache's values are accumulated, and vectors of it.
template <typename Element>
struct Accumulation {
  using Number = float;
  using Vector = Vec;
  static Vector load_value(const Element* from) { return load_widened_vec(from); }
};
template <>
struct Accumulation<float> {
  using Number = double;
  using Vector = DoubleVec;
  static Vector load_value(const float* from) { return load_widened(from); }
};

// Adds to fp64 numbers.
inline void add_to(double* weighted, DoubleVec sum) { store(weighted, load(weighted) + sum); }
inline void add_to(double* weighted, Vec sum) {
  alignas(64) float numbers[kLanes];
  store(numbers, sum);
  for (int i = 0; i < kLanes; i += kDoubleLanes)
    store(weighted + i, load(weighted + i) + load_widened(numbers + i));
}

// weighted[head][i] += the sum over slots of probability[head][slot] · value[slot][i], for kVectors vectors
// of elements from `element` on.
template <int kHeads, int kVectors, typename Dim, typename Element>
inline void accumulate(const typename Accumulation<Element>::Number* probabilities,
                       const Element* value_cache, const int64_t* offsets, int num_slots, Dim head_dim,
                       int element, const Upcoming<Element>& upcoming, double* weighted) {
  using Vector = typename Accumulation<Element>::Vector;
  constexpr int kStep = sizeof(Vector) / sizeof(typename Accumulation<Element>::Number);
  Vector sums[kHeads][kVectors] = {};
  for (int slot = 0; slot < num_slots; ++slot) {
    if (slot < upcoming.count) prefetch_row(upcoming.cache + upcoming.offsets[slot], head_dim);
    const Element* value = value_cache + offsets[slot] + element;
    Vector factors[kHeads];
#pragma GCC unroll 4
    for (int head = 0; head < kHeads; ++head) factors[head] = splat(probabilities[head * kTile + slot]);
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
    for (int v = 0; v < kVectors; ++v)
      add_to(weighted + head * head_dim + element + v * kStep, sums[head][v]);
}

template <int kHeads, typename Dim, typename Element>
inline void accumulate_all(const typename Accumulation<Element>::Number* probabilities,
                           const Element* value_cache, const int64_t* offsets, int num_slots, Dim head_dim,
                           Upcoming<Element> upcoming, double* weighted) {
  constexpr int kStep =
      sizeof(typename Accumulation<Element>::Vector) / sizeof(typename Accumulation<Element>::Number);
  int element = 0;
  // As many accumulators as leave registers for a value and the heads' factors.
  constexpr int kMany = OCTAVO_SIMD_BYTES == 64 && kHeads <= 3 ? 8 : 4;
  for (; element + kMany * kStep <= head_dim; element += kMany * kStep) {
    accumulate<kHeads, kMany>(probabilities, value_cache, offsets, num_slots, head_dim, element, upcoming,
                              weighted);
    upcoming.count = 0;
  }
  for (; element + 4 * kStep <= head_dim; element += 4 * kStep) {
    accumulate<kHeads, 4>(probabilities, value_cache, offsets, num_slots, head_dim, element, upcoming,
                          weighted);
    upcoming.count = 0;
  }
  for (; element + kStep <= head_dim; element += kStep) {
    accumulate<kHeads, 1>(probabilities, value_cache, offsets, num_slots, head_dim, element, upcoming,
                          weighted);
    upcoming.count = 0;
  }
  for (; element < head_dim; ++element)
    for (int head = 0; head < kHeads; ++head)
      for (int slot = 0; slot < num_slots; ++slot)
        weighted[head * head_dim + element] += static_cast<double>(probabilities[head * kTile + slot]) *
                                               widen(value_cache[offsets[slot] + element]);
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

// Replaces a tile's logits by probabilities relative to the running maximum, rescaling what was summed
// before.
template <typename Number, typename Dim>
inline void renew_maximum(float* logits, int num_slots, float scale, Dim head_dim, float& maximum,
                          double& sum_so_far, double* weighted, Number* probabilities) {
  using Sum = std::conditional_t<sizeof(Number) == sizeof(float), Vec, DoubleVec>;
  constexpr float kInfinity = __builtin_inff();
  constexpr int kVectors = kTile / kLanes;
  for (int slot = num_slots; slot < kTile; ++slot) logits[slot] = -kInfinity;
  Vec scaled[kVectors];
  Vec largest = splat(-kInfinity);
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
    scaled[v] = load(logits + v * kLanes) * scale;
    largest = scaled[v] > largest ? scaled[v] : largest;
  }
  const float tile_maximum = max_lane(largest);
  if (tile_maximum > maximum) {
    const double correction = __builtin_exp(static_cast<double>(maximum) - static_cast<double>(tile_maximum));
    sum_so_far *= correction;
    for (int i = 0; i < head_dim; ++i) weighted[i] *= correction;
    maximum = tile_maximum;
  }
  Sum tile_sum{};
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
    const Vec numerators = exponential_of_negative(scaled[v] - maximum);
    store(logits + v * kLanes, numerators);
    if constexpr (sizeof(Number) == sizeof(float)) {
      store(probabilities + v * kLanes, numerators);
      tile_sum += numerators;
    } else {
      for (int i = v * kLanes; i < (v + 1) * kLanes; i += kDoubleLanes) {
        const DoubleVec widened = load_widened(logits + i);
        store(probabilities + i, widened);
        tile_sum += widened;
      }
    }
  }
  sum_so_far += sum_of(tile_sum);
}

inline void keep_numerators(const SplitNumerators& to, int head, int first_slot, int num_slots,
                            const float* numerators, float maximum) {
  float* values = to.values + head * to.head_stride + first_slot;
  for (int slot = 0; slot < num_slots; ++slot) values[slot] = numerators[slot];
  to.tile_maxima[head * to.maxima_stride + first_slot / kTile] = maximum;
}

template <int kHeads, typename Element, typename Dim>
inline void attend_tile(const PagedSplit& split, Dim head_dim, const Slots& slots, int tile_begin,
                        int tile_end, int first_head, float* maxima, double* sums, double* weighted) {
  const int num_slots = tile_end - tile_begin;
  const int64_t* offsets = slots.offsets + tile_begin;
  const float* query = split.query + first_head * head_dim;
  const Element* const key_cache = static_cast<const Element*>(split.key_cache);
  const Element* const value_cache = static_cast<const Element*>(split.value_cache);
  alignas(64) float logits[kHeads][kTile];
  alignas(64) typename Accumulation<Element>::Number probabilities[kHeads][kTile];
  for (int slot = 0; slot < num_slots; slot += 4) {
    const Element* keys[4];
    for (int s = 0; s < 4; ++s)
      keys[s] = key_cache + offsets[slot + s < num_slots ? slot + s : num_slots - 1];
    // A whole tile ahead, as its keys are: memory takes longer than a tile's logits.
    const int ahead = tile_end + slot;
    for (int next = ahead; next < ahead + 4 && next < slots.num_known; ++next)
      prefetch_row(value_cache + slots.offsets[next], head_dim);
    for (int head = 0; head < kHeads; head += kHeadsAtOnce) {
      constexpr int kFull = kHeads < kHeadsAtOnce ? kHeads : kHeadsAtOnce;
      constexpr int kRest = kHeads % kFull;
      if (head + kFull <= kHeads)
        dot_four<kFull>(query + head * head_dim, head_dim, keys, &logits[head][slot]);
      else if constexpr (kRest > 0)
        dot_four<kRest>(query + head * head_dim, head_dim, keys, &logits[head][slot]);
    }
  }
  for (int head = 0; head < kHeads; ++head)
    renew_maximum(logits[head], num_slots, split.scale, head_dim, maxima[first_head + head],
                  sums[first_head + head], weighted + (first_head + head) * static_cast<int64_t>(head_dim),
                  probabilities[head]);
  if (split.numerators.values)
    for (int head = 0; head < kHeads; ++head)
      keep_numerators(split.numerators, first_head + head, tile_begin, num_slots, logits[head],
                      maxima[first_head + head]);
  Upcoming<Element> next_keys = {key_cache, slots.offsets + tile_end, slots.num_known - tile_end};
  double* target = weighted + first_head * static_cast<int64_t>(head_dim);
  for (int head = 0; head < kHeads; head += kHeadsAtOnce) {
    constexpr int kFull = kHeads < kHeadsAtOnce ? kHeads : kHeadsAtOnce;
    constexpr int kRest = kHeads % kFull;
    if (head + kFull <= kHeads)
      accumulate_all<kFull>(probabilities[head], value_cache, offsets, num_slots, head_dim, next_keys,
                            target + head * head_dim);
    else if constexpr (kRest > 0)
      accumulate_all<kRest>(probabilities[head], value_cache, offsets, num_slots, head_dim, next_keys,
                            target + head * head_dim);
    next_keys.count = 0;
  }
}

template <typename Element, typename Dim>
void attend_dim(const PagedSplit& split, Dim head_dim, float* maxima, double* sums, double* weighted) {
  Slots slots;
  locate(split, slots);
  for (int head = 0; head < split.group_size; ++head) {
    maxima[head] = -__builtin_inff();
    sums[head] = 0;
  }
  for (int64_t i = 0; i < static_cast<int64_t>(split.group_size) * split.head_dim; ++i) weighted[i] = 0;
  for (int begin = 0; begin < slots.num_live; begin += kTile) {
    const int end = begin + kTile < slots.num_live ? begin + kTile : slots.num_live;
    for (int head = 0; head < split.group_size; head += kHeadsMax) {
      switch (split.group_size - head) {
        case 1:
          attend_tile<1, Element>(split, head_dim, slots, begin, end, head, maxima, sums, weighted);
          break;
        case 2:
          attend_tile<2, Element>(split, head_dim, slots, begin, end, head, maxima, sums, weighted);
          break;
        case 3:
          attend_tile<3, Element>(split, head_dim, slots, begin, end, head, maxima, sums, weighted);
          break;
        default:
          attend_tile<4, Element>(split, head_dim, slots, begin, end, head, maxima, sums, weighted);
      }
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
