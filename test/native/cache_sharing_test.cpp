// Caches that share blocks, against plain copies of what each should hold: a long random run of appends,
// evictions, forks, snapshots, rewinds, failed steps and ends. OCTAVO_RANDOM_OPERATIONS sets its length.
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <set>

#include "cache/kv_cache.h"
#include "test.h"

using octavo::HeldTable;
using octavo::KvCache;

namespace {

constexpr int kNumHeads = 2, kHeadDim = 3, kBlockSize = 4;

float key_of(int64_t token, int head, int dim) { return static_cast<float>(token * 10 + head * 4 + dim); }

// What a cache holds: tokens by their running numbers, which make their keys, and scores.
struct BlockModel {
  std::vector<int32_t> tokens;  // -1 in a hole
  float score = KvCache::kNoScore;
};
using CacheModel = std::vector<BlockModel>;

std::vector<int32_t> live_of(const BlockModel& block) {
  std::vector<int32_t> live;
  for (const int32_t token : block.tokens)
    if (token >= 0) live.push_back(token);
  return live;
}

struct Sequence {
  std::unique_ptr<KvCache> cache;
  CacheModel model, committed;
  bool wrote_over = false;  // since the last commit
};

struct Taken {
  std::unique_ptr<HeldTable> held;
  CacheModel model;
};

void require_same(const KvCache& cache, const CacheModel& model) {
  REQUIRE_EQUAL(cache.table().num_blocks(), static_cast<int>(model.size()));
  for (size_t index = 0; index < model.size(); ++index) {
    const BlockModel& block = model[index];
    const int32_t block_id = cache.table().block_id(static_cast<int>(index));
    REQUIRE(cache.live_positions(static_cast<int>(index)) == live_of(block));
    REQUIRE_EQUAL(cache.table().filled(static_cast<int>(index)), static_cast<int>(block.tokens.size()));
    REQUIRE_EQUAL(cache.table().num_live(static_cast<int>(index)), static_cast<int>(live_of(block).size()));
    const float score = cache.table().score(static_cast<int>(index));
    REQUIRE(score == block.score || (std::isnan(score) && std::isnan(block.score)));
    for (size_t slot = 0; slot < block.tokens.size(); ++slot) {
      const bool is_dead = block.tokens[slot] < 0;
      REQUIRE_EQUAL(cache.table().is_dead(static_cast<int64_t>(index * kBlockSize + slot)), is_dead);
      if (is_dead) continue;
      for (int head = 0; head < kNumHeads; ++head) {
        for (int dim = 0; dim < kHeadDim; ++dim) {
          const size_t at = (static_cast<size_t>(head) * kBlockSize + slot) * kHeadDim + dim;
          REQUIRE_EQUAL(reinterpret_cast<const float*>(cache.block_keys(block_id))[at],
                        key_of(block.tokens[slot], head, dim));
          REQUIRE_EQUAL(reinterpret_cast<const float*>(cache.block_values(block_id))[at],
                        -key_of(block.tokens[slot], head, dim));
        }
      }
    }
  }
}

void append(KvCache& cache, int32_t token) {
  float key[kNumHeads * kHeadDim], value[kNumHeads * kHeadDim];
  for (int head = 0; head < kNumHeads; ++head) {
    for (int dim = 0; dim < kHeadDim; ++dim) {
      key[head * kHeadDim + dim] = key_of(token, head, dim);
      value[head * kHeadDim + dim] = -key_of(token, head, dim);
    }
  }
  cache.append(key, value, token);
}

octavo::KvCacheShape shape_of(int num_blocks) {
  return {
      .num_blocks = num_blocks, .num_kv_heads = kNumHeads, .block_size = kBlockSize, .head_dim = kHeadDim};
}

}  // namespace

TEST(
    "random interleavings of append, evict, holes, recycling, fork, snapshot, rewind and free keep what each "
    "holds") {
  const char* asked = std::getenv("OCTAVO_RANDOM_OPERATIONS");
  const int64_t num_operations = asked ? std::atoll(asked) : 100000;
  constexpr int kNumBlocks = 24;
  std::mt19937 random(4);
  const auto below = [&](size_t limit) { return static_cast<size_t>(random() % limit); };
  std::vector<Sequence> sequences;
  std::vector<Taken> snapshots;
  int64_t num_done[11] = {}, num_exhausted = 0, num_parked = 0, num_copied = 0;
  int32_t next_token = 0;
  const KvCache root(shape_of(kNumBlocks));  // keeps the arena; stays empty
  for (int64_t operation = 0; operation < num_operations; ++operation) {
    if (sequences.empty()) sequences.push_back({std::make_unique<KvCache>(root.hold()), {}, {}, false});
    Sequence& sequence = sequences[below(sequences.size())];
    KvCache& cache = *sequence.cache;
    CacheModel& model = sequence.model;
    const size_t choice = below(100);
    const size_t kind = choice < 47   ? 0
                        : choice < 51 ? 8
                        : choice < 56 ? 9
                        : choice < 60 ? 10
                        : choice < 70 ? 1
                        : choice < 74 ? 2
                        : choice < 80 ? 3
                        : choice < 85 ? 4
                        : choice < 89 ? 5
                        : choice < 94 ? 6
                                      : 7;
    ++num_done[kind];
    switch (kind) {
      case 0: {  // append
        const octavo::PoolCounts before = cache.pool_counts();
        const int64_t needed = cache.num_blocks_needed(1);
        const bool full = model.empty() || model.back().tokens.size() == kBlockSize;
        if (needed > before.num_free) {
          REQUIRE_ERROR("ERR_OCTAVO_POOL_EXHAUSTED", append(cache, next_token));
          ++num_exhausted;
          if (snapshots.empty()) break;
          snapshots.erase(snapshots.begin());
          break;
        }
        append(cache, next_token);
        REQUIRE_EQUAL(static_cast<int64_t>(before.num_free - cache.pool_counts().num_free), needed);
        if (full) model.emplace_back();
        num_copied += !full && needed == 1 ? 1 : 0;
        model.back().tokens.push_back(next_token++);
        break;
      }
      case 1: {  // evict a full block
        if (model.size() < 2) break;
        const size_t index = below(model.size() - 1);
        const octavo::EvictedBlock evicted = cache.evict(static_cast<int>(index));
        REQUIRE(evicted.positions.front() == live_of(model[index]));
        REQUIRE_EQUAL(evicted.freed, cache.ref_count(evicted.block_id) == 1);
        model.erase(model.begin() + static_cast<int64_t>(index));
        break;
      }
      case 2: {  // fork: from the last commit
        if (sequences.size() > 5) break;
        const octavo::PoolCounts before = cache.pool_counts();
        if (before.num_free < static_cast<int>(sequence.committed.size()))
          break;  // for blocks that were written over
        auto fork = std::make_unique<KvCache>(cache.hold());
        if (!sequence.wrote_over) REQUIRE_EQUAL(cache.pool_counts().num_free, before.num_free);
        const CacheModel committed = sequence.committed;
        sequences.push_back({std::move(fork), committed, committed, false});
        break;
      }
      case 3:  // snapshot
        if (cache.pool_counts().num_free < static_cast<int>(sequence.committed.size())) break;
        if (snapshots.size() > 8)
          snapshots.erase(snapshots.begin() + static_cast<int64_t>(below(snapshots.size())));
        snapshots.push_back({std::make_unique<HeldTable>(cache.hold()), sequence.committed});
        break;
      case 4:  // rewind, or go forth: to any snapshot of the family
        if (snapshots.empty()) break;
        {
          const Taken& taken = snapshots[below(snapshots.size())];
          cache.restore(*taken.held);
          model = sequence.committed = taken.model;
          sequence.wrote_over = false;
        }
        break;
      case 5:  // a step that fails
        cache.roll_back();
        model = sequence.committed;
        sequence.wrote_over = false;
        break;
      case 6:
        if (!model.empty()) {
          const size_t index = below(model.size());
          model[index].score = static_cast<float>(below(100));
          cache.set_score(static_cast<int>(index), model[index].score);
        }
        cache.commit_step();
        sequence.committed = model;
        sequence.wrote_over = false;
        break;
      case 8: {  // leave a hole
        if (model.empty()) break;
        const size_t index = below(model.size()), slot = below(model[index].tokens.size());
        const auto place = static_cast<int64_t>(index * kBlockSize + slot);
        if (model[index].tokens[slot] < 0) {
          REQUIRE_ERROR("ERR_OCTAVO_BLOCK", cache.mark_dead(place));
          break;
        }
        cache.mark_dead(place);
        model[index].tokens[slot] = -1;
        break;
      }
      case 9: {  // write one token over another, or into a hole
        if (model.empty()) break;
        const size_t from_block = below(model.size()), to_block = below(model.size());
        const size_t from = below(model[from_block].tokens.size()), to = below(model[to_block].tokens.size());
        if (model[from_block].tokens[from] < 0) break;
        const bool is_shared = cache.ref_count(cache.table().block_id(static_cast<int>(to_block))) > 1;
        const auto copy = [&] {
          cache.copy_slot(static_cast<int64_t>(from_block * kBlockSize + from),
                          static_cast<int64_t>(to_block * kBlockSize + to));
        };
        if (is_shared && cache.pool_counts().num_free == 0) {
          REQUIRE_ERROR("ERR_OCTAVO_POOL_EXHAUSTED", copy());
          break;
        }
        copy();
        sequence.wrote_over = true;
        model[to_block].tokens[to] = model[from_block].tokens[from];
        break;
      }
      case 10: {  // give the newest slot up, as the last thing of a step
        if (model.empty() || model.back().tokens.back() < 0) break;
        cache.drop_newest_slot();
        model.back().tokens.pop_back();
        if (model.back().tokens.empty()) model.pop_back();
        if (below(2) == 0) {  // the step fails
          cache.roll_back();
          model = sequence.committed;
        } else {
          cache.commit_step();
          sequence.committed = model;
        }
        sequence.wrote_over = false;
        break;
      }
      default:  // free
        if (below(3) == 0) {
          const auto place = static_cast<int64_t>(below(sequences.size()));
          sequences.erase(sequences.begin() + place);
        }
    }
    if (operation % 8 != 0) continue;
    std::set<int32_t> live, held;
    bool all_committed = true;
    for (const Sequence& each : sequences) {
      require_same(*each.cache, each.model);
      if (each.cache->pool_counts().num_free < static_cast<int>(each.committed.size())) {
        all_committed = false;
        continue;
      }
      const auto& ids = each.cache->table().block_ids();
      live.insert(ids.begin(), ids.end());
      const HeldTable before = each.cache->hold();  // blocks that a roll-back would need are in use too
      live.insert(before.table().block_ids().begin(), before.table().block_ids().end());
      all_committed = all_committed && before.table().block_ids() == ids;
    }
    for (const Taken& each : snapshots)
      held.insert(each.held->table().block_ids().begin(), each.held->table().block_ids().end());
    std::set<int32_t> in_use = live;
    in_use.insert(held.begin(), held.end());
    const octavo::PoolCounts counts = root.pool_counts();
    if (all_committed) {
      REQUIRE_EQUAL(kNumBlocks - counts.num_free, static_cast<int>(in_use.size()));
      REQUIRE_EQUAL(counts.num_parked, static_cast<int>(in_use.size() - live.size()));
    }
    num_parked += counts.num_parked;
  }
  std::printf("     %lld operations, %lld copies of partial blocks, %lld refused\n",
              static_cast<long long>(num_operations), static_cast<long long>(num_copied),
              static_cast<long long>(num_exhausted));
  for (const int64_t done : num_done) REQUIRE(done > num_operations / 100);
  REQUIRE(num_exhausted > 10 && num_parked > 100 && num_copied > 100);
  sequences.clear();
  snapshots.clear();
  REQUIRE_EQUAL(root.pool_counts().num_free, kNumBlocks);
  REQUIRE_EQUAL(root.pool_counts().num_parked, 0);
}

TEST("a sequence alone is never copied, and a step taken back leaves its pool as it was") {
  KvCache cache(shape_of(6));
  for (int32_t token = 0; token < 6; ++token) append(cache, token);
  cache.commit_step();
  std::vector<HeldTable> history;
  for (int32_t token = 6; token < 16; ++token) {
    history.push_back(cache.hold());
    append(cache, token);
    cache.commit_step();
  }
  REQUIRE_EQUAL(cache.pool_counts().num_free,
                2);  // 16 tokens in 4 blocks: nothing was copied for the history
  const std::vector<int32_t> ids = cache.table().block_ids();
  cache.restore(history.front());
  while (history.size() > 1) history.pop_back();
  REQUIRE_EQUAL(cache.pool_counts().num_free, 4);
  for (int32_t token = 6; token < 16; ++token) append(cache, token);
  REQUIRE(cache.table().block_ids() == ids);  // the same blocks as the first time
  cache.evict(1);
  cache.roll_back();
  REQUIRE_EQUAL(cache.pool_counts().num_free, 4);
  REQUIRE_EQUAL(cache.table().kv_len(), 6);
}

TEST("two forks at a partial block: the first to write goes on in place, the second copies that block only") {
  KvCache first(shape_of(8));
  for (int32_t token = 0; token < 6; ++token) append(first, token);
  first.commit_step();
  KvCache second(first.hold());
  REQUIRE_EQUAL(first.pool_counts().num_free, 6);
  append(first, 100);
  REQUIRE_EQUAL(first.pool_counts().num_free, 6);
  append(second, 200);
  REQUIRE_EQUAL(first.pool_counts().num_free, 5);
  REQUIRE_EQUAL(first.table().block_id(0), second.table().block_id(0));
  REQUIRE(first.table().block_id(1) != second.table().block_id(1));
  require_same(first, {BlockModel{.tokens = {0, 1, 2, 3}}, BlockModel{.tokens = {4, 5, 100}}});
  require_same(second, {BlockModel{.tokens = {0, 1, 2, 3}}, BlockModel{.tokens = {4, 5, 200}}});
}

TEST("a cache too large to be shown is refused before anything is allocated") {
  REQUIRE_ERROR(
      "ERR_OCTAVO_ARGUMENT",
      KvCache({.num_blocks = 1 << 30, .num_kv_heads = 1 << 20, .block_size = 256, .head_dim = 1 << 20}));
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT",
                KvCache({.num_blocks = 1 << 20, .num_kv_heads = 8, .block_size = 16, .head_dim = 128}));
}
