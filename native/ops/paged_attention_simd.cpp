// A split's logits first, then its values: of one maximum, nothing is ever rescaled, and keys and values are
// each one stream in the order of memory. Logits in fp32. Of an fp32 cache, probabilities and values are
// accumulated in fp64, which memory speed hides: thousands of slots then add no error, and a cache of equal
// values gives that value exactly. A 16-bit cache comes twice as fast from memory and has no such digits to
// keep: runs of its slots are accumulated in fp32.
#include "ops/paged_attention_simd.h"

#include <type_traits>

#include "core/simd_vector.h"
#include "ops/paged_slots.h"

namespace octavo::OCTAVO_SIMD {
namespace {

// Query heads that share a row, as registers allow.
constexpr int kHeadsAtOnce = OCTAVO_SIMD_BYTES == 64 ? 4 : 2;

// Vectors of a key before the next slot's: with registers for so much of the query, keys are read in the
// order of memory.
constexpr int kKeyVectors = OCTAVO_SIMD_BYTES == 64 ? 4 : 1;

// Slots of one KV head before the next head's are read: no fewer than a usual block has, where the heads'
// rows lie one after another, and more while the rows of all heads fit what any first cache holds twice.
// Rows are fetched a group ahead of their use.
constexpr int kGroupMin = 16, kGroupMax = kSlotsAhead, kGroupBytes = 8192;

// Slots whose products are summed before they are added to the split's: a sum of many fp32 numbers one after
// another would lose their last places. As groups depend on the number of threads, sums must not be theirs.
constexpr int kSlotsPerSum = 16;

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
// four slots. Fetches the rows `next`, where it is given, one with each row that is used: evenly, as memory
// serves them.
template <int kHeads, typename Dim, typename Element>
inline void dot_four(const float* __restrict query, Dim head_dim, const Element* const* keys,
                     const Element* const* next, float* __restrict logits) {
  constexpr int kStep = kKeyVectors * kLanes;
  Vec sums[kHeads][4] = {};
  if (next && head_dim < kStep)
    for (int s = 0; s < 4; ++s) prefetch_row(next[s], head_dim);
  int i = 0;
  for (; i + kStep <= head_dim; i += kStep) {
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) {
      if (next && i == 0) prefetch_row(next[s], head_dim);
#pragma GCC unroll 4
      for (int v = 0; v < kKeyVectors; ++v) {
        const Vec key = load_widened_vec(keys[s] + i + v * kLanes);
#pragma GCC unroll 4
        for (int head = 0; head < kHeads; ++head)
          sums[head][s] += load(query + head * head_dim + i + v * kLanes) * key;
      }
    }
  }
  for (; i + kLanes <= head_dim; i += kLanes)
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) {
      const Vec key = load_widened_vec(keys[s] + i);
#pragma GCC unroll 4
      for (int head = 0; head < kHeads; ++head) sums[head][s] += load(query + head * head_dim + i) * key;
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
  static Vector load_value(const Element* from) { return load_widened_vec(from); }
};
template <>
struct Accumulation<float> {
  using Number = double;
  using Vector = DoubleVec;
  static Vector load_value(const float* from) { return load_widened(from); }
};

// Rows of one KV head: in the order of slots, at `offsets` in a cache. None where `cache` is null.
template <typename Element>
struct Rows {
  const Element* cache;
  const int64_t* offsets;
};

template <typename Number>
struct Factors {
  const Number* of_first_head;
  int stride;  // to the next head's
};

// A group's numerators as factors of its values: as they are, or widened into memory.
inline Factors<float> factors_of(const float* numerators, int, float*) {
  return {numerators, kSlotsPerSplit};
}
inline Factors<double> factors_of(const float* numerators, int num_heads, double* memory) {
  for (int head = 0; head < num_heads; ++head)
    for (int i = 0; i < kSlotsPerSum; i += kDoubleLanes)
      store(memory + head * kSlotsPerSum + i, load_widened(numerators + head * kSlotsPerSplit + i));
  return {memory, kSlotsPerSum};
}

// totals[head][i] += the sum over some slots of factor[head][slot] · value[slot][i], for kVectors
// vectors of elements from `element` on.
template <int kHeads, int kVectors, typename Dim, typename Element, typename Number>
inline void accumulate(Factors<Number> factors, Rows<Element> values, Rows<Element> next, int num_slots,
                       Dim head_dim, int element, Number* totals) {
  using Vector = typename Accumulation<Element>::Vector;
  constexpr int kStep = sizeof(Vector) / sizeof(Number);
  Vector sums[kHeads][kVectors] = {};
  for (int slot = 0; slot < num_slots; ++slot) {
    if (next.cache) prefetch_row(next.cache + next.offsets[slot], head_dim);
    const Element* value = values.cache + values.offsets[slot] + element;
    Vector factor[kHeads];
#pragma GCC unroll 4
    for (int head = 0; head < kHeads; ++head)
      factor[head] = splat(factors.of_first_head[head * factors.stride + slot]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const Vector widened = Accumulation<Element>::load_value(value + v * kStep);
#pragma GCC unroll 4
      for (int head = 0; head < kHeads; ++head) sums[head][v] += factor[head] * widened;
    }
  }
#pragma GCC unroll 4
  for (int head = 0; head < kHeads; ++head)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      Number* const total = totals + head * head_dim + element + v * kStep;
      store(total, load(total) + sums[head][v]);
    }
}

// Not inlined: where it is, the compiler runs out of registers for the loop over keys.
template <int kHeads, typename Dim, typename Element, typename Number>
[[gnu::noinline]] void accumulate_all(Factors<Number> factors, Rows<Element> values, Rows<Element> next,
                                      int num_slots, Dim head_dim, Number* totals) {
  constexpr int kStep = sizeof(typename Accumulation<Element>::Vector) / sizeof(Number);
  // As many accumulators as leave registers for a value and the heads' factors.
  constexpr int kMany = OCTAVO_SIMD_BYTES == 64 && kHeads <= 3 ? 8 : 4;
  int element = 0;
  const auto pass = [&](auto vectors) {
    constexpr int kVectors = vectors;
    for (; element + kVectors * kStep <= head_dim; element += kVectors * kStep) {
      accumulate<kHeads, kVectors>(factors, values, next, num_slots, head_dim, element, totals);
      next.cache = nullptr;
    }
  };
  pass(Fixed<kMany>{});
  pass(Fixed<4>{});
  pass(Fixed<1>{});
  for (; element < head_dim; ++element)
    for (int head = 0; head < kHeads; ++head)
      for (int slot = 0; slot < num_slots; ++slot)
        totals[head * head_dim + element] += factors.of_first_head[head * factors.stride + slot] *
                                             widen(values.cache[values.offsets[slot] + element]);
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

inline void add_to(DoubleVec& total, Vec value) {
  alignas(64) float numbers[kLanes];
  store(numbers, value);
  total += load_widened(numbers) + load_widened(numbers + kDoubleLanes);
}
inline void add_to(Vec& total, Vec value) { total += value; }

// Turns logits into numerators relative to their maximum, which it returns.
template <typename Sum>
inline float exponentiate(float* logits, int num_slots, float scale, double& sum_of_numerators) {
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
    add_to(total, numerators);
  }
  sum_of_numerators = sum_of(total);
  return maximum;
}

inline void keep_numerators(const SplitNumerators& to, int head, int num_slots, const float* numerators,
                            float maximum) {
  float* values = to.values + head * to.head_stride;
  for (int slot = 0; slot < num_slots; ++slot) values[slot] = numerators[slot];
  to.maxima[head * to.maxima_stride] = maximum;
}

template <int kHeads, typename Dim, typename Element>
inline void dot_group(const float* __restrict query, Dim head_dim, Rows<Element> keys, Rows<Element> next,
                      int num_slots, float* __restrict logits) {
  for (int slot = 0; slot < num_slots; slot += 4) {
    const Element *rows[4], *next_rows[4];
    for (int s = 0; s < 4; ++s) rows[s] = keys.cache + keys.offsets[slot + s];
    if (next.cache)
      for (int s = 0; s < 4; ++s) next_rows[s] = next.cache + next.offsets[slot + s];
    dot_four<kHeads>(query, head_dim, rows, next.cache ? next_rows : nullptr, logits + slot);
  }
}

// Calls body(heads, first) for the query heads of a KV head, so many at once.
template <typename Body>
inline void for_heads(int group_size, Body&& body) {
  for (int first = 0; first < group_size; first += kHeadsAtOnce) {
    const int left = group_size - first;
    if (left == 1)
      body(Fixed<1>{}, first);
    else if (left == 2 || kHeadsAtOnce == 2)
      body(Fixed<2>{}, first);
    else if (left == 3)
      body(Fixed<3>{}, first);
    else
      body(Fixed<4>{}, first);
  }
}

// Slots of a group: they do not change a bit of the result.
template <typename Element>
inline int slots_per_group(const PagedSplit& split) {
  const int slot_bytes = split.head_dim * static_cast<int>(sizeof(Element)) * split.num_kv_heads_here;
  const int slots = kGroupBytes / slot_bytes / kGroupMin * kGroupMin;
  return slots < kGroupMin ? kGroupMin : slots > kGroupMax ? kGroupMax : slots;
}

template <typename Element, typename Dim>
inline void find_logits(const PagedSplit& split, Dim head_dim, const Slots& slots, float* logits) {
  const Element* const key_cache = static_cast<const Element*>(split.key_cache);
  const Element* const value_cache = static_cast<const Element*>(split.value_cache);
  const int64_t head_step = static_cast<int64_t>(split.block_size) * head_dim;
  const int group = slots_per_group<Element>(split);
  for (int begin = 0; begin < slots.num_live; begin += group) {
    const int left = slots.num_live - begin, count = left < group ? left : group;
    // After the last keys come the values, or where nobody reads those the next split's keys.
    const bool are_values = left <= group && value_cache;
    const Element* const next_cache = are_values ? value_cache : key_cache;
    const int64_t* const next_offsets = slots.offsets + (are_values ? 0 : begin + group);
    for (int kv_head = 0; kv_head < split.num_kv_heads_here; ++kv_head)
      for_heads(split.group_size, [&](auto heads, int first) {
        const int head = kv_head * split.group_size + first;
        dot_group<heads>(split.query + head * static_cast<int64_t>(head_dim), head_dim,
                         Rows<Element>{key_cache + kv_head * head_step, slots.offsets + begin},
                         Rows<Element>{first > 0 ? nullptr : next_cache + kv_head * head_step, next_offsets},
                         count, logits + head * kSlotsPerSplit + begin);
      });
  }
}

template <typename Element, typename Dim>
inline void sum_values(const PagedSplit& split, Dim head_dim, const Slots& slots, const float* numerators,
                       typename Accumulation<Element>::Number* totals) {
  const Element* const key_cache = static_cast<const Element*>(split.key_cache);
  const Element* const value_cache = static_cast<const Element*>(split.value_cache);
  const int64_t head_step = static_cast<int64_t>(split.block_size) * head_dim;
  const int group = slots_per_group<Element>(split);
  for (int begin = 0; begin < slots.num_live; begin += group) {
    const int left = slots.num_live - begin, count = left < group ? left : group;
    // The keys after the last values are the next split's, which this thread likely takes.
    const Element* const next_cache = left > group ? value_cache : key_cache;
    for (int kv_head = 0; kv_head < split.num_kv_heads_here; ++kv_head)
      for_heads(split.group_size, [&](auto heads, int first) {
        const int head = kv_head * split.group_size + first;
        alignas(64) typename Accumulation<Element>::Number memory[heads * kSlotsPerSum];
        for (int run = begin; run < begin + count; run += kSlotsPerSum) {
          const int left_of_group = begin + count - run;
          accumulate_all<heads>(factors_of(numerators + head * kSlotsPerSplit + run, heads, memory),
                                Rows<Element>{value_cache + kv_head * head_step, slots.offsets + run},
                                Rows<Element>{first > 0 ? nullptr : next_cache + kv_head * head_step,
                                              slots.offsets + run + count},
                                left_of_group < kSlotsPerSum ? left_of_group : kSlotsPerSum, head_dim,
                                totals + head * static_cast<int64_t>(head_dim));
        }
      });
  }
}

template <typename Element, typename Dim>
void attend_dim(const PagedSplit& split, Dim head_dim, float* maxima, double* sums, double* weighted) {
  using Accumulated = Accumulation<Element>;
  const int num_heads = split.num_kv_heads_here * split.group_size;
  const int64_t num_weighted = static_cast<int64_t>(num_heads) * head_dim;
  Slots slots;
  locate(split, slots);
  if (slots.num_live == 0) {
    for (int head = 0; head < num_heads; ++head) maxima[head] = -__builtin_inff(), sums[head] = 0;
    for (int64_t i = 0; i < num_weighted; ++i) weighted[i] = 0;
    return;
  }
  float* const logits = split.scratch;
  if (split.logits) {
    for (int i = 0; i < num_heads * kSlotsPerSplit; ++i) logits[i] = split.logits[i];
  } else {
    find_logits<Element>(split, head_dim, slots, logits);
  }
  for (int head = 0; head < num_heads; ++head) {
    float* const own = logits + head * kSlotsPerSplit;
    maxima[head] = exponentiate<typename Accumulated::Vector>(own, slots.num_live, split.scale, sums[head]);
    if (split.numerators.values) keep_numerators(split.numerators, head, slots.num_live, own, maxima[head]);
  }
  if constexpr (std::is_same_v<typename Accumulated::Number, double>) {
    for (int64_t i = 0; i < num_weighted; ++i) weighted[i] = 0;
    sum_values<Element>(split, head_dim, slots, logits, weighted);
  } else {
    float* const totals = logits + static_cast<int64_t>(num_heads) * kSlotsPerSplit;
    for (int64_t i = 0; i < num_weighted; ++i) totals[i] = 0;
    sum_values<Element>(split, head_dim, slots, logits, totals);
    for (int64_t i = 0; i < num_weighted; ++i) weighted[i] = totals[i];
  }
}

template <typename Element, typename Dim>
void multiply_dim(const PagedSplit& split, Dim head_dim, float* logits) {
  Slots slots;
  locate(split, slots);
  find_logits<Element>(split, head_dim, slots, logits);
  for (int head = 0; head < split.num_kv_heads_here * split.group_size; ++head)
    for (int i = slots.num_live; i < kSlotsPerSplit; ++i)
      logits[head * kSlotsPerSplit + i] = -__builtin_inff();
}

// Calls body with a dimension that the compiler knows, where it is a usual one.
template <typename Body>
inline void with_dim(int head_dim, Body&& body) {
  switch (head_dim) {
    case 64:
      return body(Fixed<64>{});
    case 128:
      return body(Fixed<128>{});
    default:
      return body(head_dim);
  }
}

template <typename Element>
void attend(const PagedSplit& split, float* maxima, double* sums, double* weighted) {
  with_dim(split.head_dim, [&](auto dim) { attend_dim<Element>(split, dim, maxima, sums, weighted); });
}

template <typename Element>
void multiply(const PagedSplit& split, float* logits) {
  with_dim(split.head_dim, [&](auto dim) { multiply_dim<Element>(split, dim, logits); });
}

template <typename Element>
constexpr PagedAttentionKernels::OfDType kKernels = {attend<Element>, multiply<Element>};

}  // namespace

const PagedAttentionKernels& paged_attention_kernels() {
  static constexpr PagedAttentionKernels kernels = {kKernels<float>, kKernels<Bf16>, kKernels<F16>};
  return kernels;
}

}  // namespace octavo::OCTAVO_SIMD
