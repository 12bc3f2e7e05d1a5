// Logits in fp32; probabilities and values are accumulated in fp64, which memory speed hides: thousands of
// slots then add no error, and a cache of equal values gives that value exactly.
#include "ops/paged_attention_simd.h"

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
    for (; offset < split.block_size && i < slots.num_known; ++offset, ++i)
      slots.offsets[i] = (base + offset) * split.head_dim;
  }
}

inline void prefetch_row(const float* row, int head_dim) {
  for (int i = 0; i < head_dim; i += 16) __builtin_prefetch(row + i, 0, 3);
}

// logits[head][slot] = query[head] · key[slot], four slots at a time. `logits` has room for a multiple of
// four slots.
template <int kHeads>
inline void dot_four(const float* query, int head_dim, const float* const* keys, float* logits) {
  Vec sums[kHeads][4] = {};
  int i = 0;
  for (; i + kLanes <= head_dim; i += kLanes) {
    Vec key[4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) key[s] = load(keys[s] + i);
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
      const Vec4 key = {keys[0][rest], keys[1][rest], keys[2][rest], keys[3][rest]};
      total += query[head * head_dim + rest] * key;
    }
    store4(logits + head * kTile, total);
  }
}

// Rows that will be needed next, fetched one at a time between other work: a burst of them would wait for the
// memory system to take them in.
struct Upcoming {
  const float* cache;
  const int64_t* offsets;
  int count;
};

// weighted[head][i] += probability[head][slot] · value[slot][i], for kVectors vectors of elements from
// `element` on.
template <int kHeads, int kVectors>
inline void accumulate(const double* probabilities, const float* value_cache, const int64_t* offsets,
                       int num_slots, int head_dim, int element, const Upcoming& upcoming, double* weighted) {
  DoubleVec sums[kHeads][kVectors];
#pragma GCC unroll 4
  for (int head = 0; head < kHeads; ++head)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      sums[head][v] = load(weighted + head * head_dim + element + v * kDoubleLanes);
  for (int slot = 0; slot < num_slots; ++slot) {
    if (slot < upcoming.count) prefetch_row(upcoming.cache + upcoming.offsets[slot], head_dim);
    const float* value = value_cache + offsets[slot] + element;
    DoubleVec widened[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) widened[v] = load_widened(value + v * kDoubleLanes);
#pragma GCC unroll 4
    for (int head = 0; head < kHeads; ++head) {
      const DoubleVec factor = splat(probabilities[head * kTile + slot]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[head][v] += factor * widened[v];
    }
  }
#pragma GCC unroll 4
  for (int head = 0; head < kHeads; ++head)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      store(weighted + head * head_dim + element + v * kDoubleLanes, sums[head][v]);
}

template <int kHeads>
inline void accumulate_all(const double* probabilities, const float* value_cache, const int64_t* offsets,
                           int num_slots, int head_dim, Upcoming upcoming, double* weighted) {
  int element = 0;
  for (; element + 4 * kDoubleLanes <= head_dim; element += 4 * kDoubleLanes) {
    accumulate<kHeads, 4>(probabilities, value_cache, offsets, num_slots, head_dim, element, upcoming,
                          weighted);
    upcoming.count = 0;
  }
  for (; element + kDoubleLanes <= head_dim; element += kDoubleLanes) {
    accumulate<kHeads, 1>(probabilities, value_cache, offsets, num_slots, head_dim, element, upcoming,
                          weighted);
    upcoming.count = 0;
  }
  for (; element < head_dim; ++element)
    for (int head = 0; head < kHeads; ++head)
      for (int slot = 0; slot < num_slots; ++slot)
        weighted[head * head_dim + element] +=
            probabilities[head * kTile + slot] * value_cache[offsets[slot] + element];
}

// Replaces a tile's logits by probabilities relative to the running maximum, rescaling what was summed
// before.
void renew_maximum(float* logits, int num_slots, float scale, int head_dim, float& maximum,
                   double& sum_so_far, double* weighted, double* probabilities) {
  constexpr float kInfinity = __builtin_inff();
  for (int slot = num_slots; slot < kTile; ++slot) logits[slot] = -kInfinity;
  Vec largest = splat(-kInfinity);
  for (int i = 0; i < kTile; i += kLanes) {
    const Vec scaled = load(logits + i) * scale;
    store(logits + i, scaled);
    largest = scaled > largest ? scaled : largest;
  }
  const float tile_maximum = max_lane(largest);
  if (tile_maximum > maximum) {
    const double correction = __builtin_exp(static_cast<double>(maximum) - static_cast<double>(tile_maximum));
    sum_so_far *= correction;
    for (int i = 0; i < head_dim; ++i) weighted[i] *= correction;
    maximum = tile_maximum;
  }
  DoubleVec tile_sum{};
  for (int i = 0; i < kTile; i += kLanes) {
    store(logits + i, exponential(load(logits + i) - maximum));
    for (int j = i; j < i + kLanes; j += kDoubleLanes) {
      const DoubleVec widened = load_widened(logits + j);
      store(probabilities + j, widened);
      tile_sum += widened;
    }
  }
  sum_so_far += sum(tile_sum);
}

inline void keep_numerators(const SplitNumerators& to, int head, int first_slot, int num_slots,
                            const float* numerators, float maximum) {
  float* values = to.values + head * to.head_stride + first_slot;
  for (int slot = 0; slot < num_slots; ++slot) values[slot] = numerators[slot];
  to.tile_maxima[head * to.maxima_stride + first_slot / kTile] = maximum;
}

template <int kHeads>
inline void attend_tile(const PagedSplit& split, const Slots& slots, int tile_begin, int tile_end,
                        int first_head, float* maxima, double* sums, double* weighted) {
  const int head_dim = split.head_dim, num_slots = tile_end - tile_begin;
  const int64_t* offsets = slots.offsets + tile_begin;
  const float* query = split.query + first_head * head_dim;
  alignas(64) float logits[kHeads][kTile];
  alignas(64) double probabilities[kHeads][kTile];
  for (int slot = 0; slot < num_slots; slot += 4) {
    const float* keys[4];
    for (int s = 0; s < 4; ++s) {
      const int64_t offset = offsets[slot + s < num_slots ? slot + s : num_slots - 1];
      keys[s] = split.key_cache + offset;
      prefetch_row(split.value_cache + offset, head_dim);  // needed once this tile's logits are known
    }
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
  Upcoming next_keys = {split.key_cache, slots.offsets + tile_end, slots.num_known - tile_end};
  double* target = weighted + first_head * static_cast<int64_t>(head_dim);
  for (int head = 0; head < kHeads; head += kHeadsAtOnce) {
    constexpr int kFull = kHeads < kHeadsAtOnce ? kHeads : kHeadsAtOnce;
    constexpr int kRest = kHeads % kFull;
    if (head + kFull <= kHeads)
      accumulate_all<kFull>(probabilities[head], split.value_cache, offsets, num_slots, head_dim, next_keys,
                            target + head * head_dim);
    else if constexpr (kRest > 0)
      accumulate_all<kRest>(probabilities[head], split.value_cache, offsets, num_slots, head_dim, next_keys,
                            target + head * head_dim);
    next_keys.count = 0;
  }
}

void attend(const PagedSplit& split, float* maxima, double* sums, double* weighted) {
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
          attend_tile<1>(split, slots, begin, end, head, maxima, sums, weighted);
          break;
        case 2:
          attend_tile<2>(split, slots, begin, end, head, maxima, sums, weighted);
          break;
        case 3:
          attend_tile<3>(split, slots, begin, end, head, maxima, sums, weighted);
          break;
        default:
          attend_tile<4>(split, slots, begin, end, head, maxima, sums, weighted);
      }
    }
  }
}

}  // namespace

const PagedAttentionKernels& paged_attention_kernels() {
  static constexpr PagedAttentionKernels kernels = {attend};
  return kernels;
}

}  // namespace octavo::OCTAVO_SIMD
