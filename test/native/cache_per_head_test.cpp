// A cache whose heads hold tokens of their own, against plain copies of what each head should hold: random
// appends, tokens recycled head by head, evictions, forks, snapshots, rewinds and failed steps.
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "cache/kv_cache.h"
#include "test.h"

using namespace octavo;

namespace {

constexpr int kNumHeads = 3, kHeadDim = 2, kBlockSize = 4, kNumBlocks = 20;

using Row = std::vector<int32_t>;  // tokens of one head, by slot
struct Model {
  std::vector<Row> heads = std::vector<Row>(kNumHeads);
  int64_t num_slots() const { return static_cast<int64_t>(heads.front().size()); }
};

struct Sequence {
  std::unique_ptr<KvCache> cache;
  Model model, committed;
};

struct Taken {
  std::unique_ptr<HeldTable> held;
  Model model;
};

float key_of(int32_t token, int head, int dim) { return static_cast<float>(token * 8 + head * 2 + dim); }

void require_same(const KvCache& cache, const Model& model) {
  REQUIRE_EQUAL(cache.table().num_slots(), model.num_slots());
  REQUIRE_EQUAL(cache.table().num_blocks(),
                static_cast<int>((model.num_slots() + kBlockSize - 1) / kBlockSize));
  for (int head = 0; head < kNumHeads; ++head) {
    for (int64_t slot = 0; slot < model.num_slots(); ++slot) {
      const int32_t token = model.heads[static_cast<size_t>(head)][static_cast<size_t>(slot)];
      REQUIRE_EQUAL(cache.slot_position(slot, head), token);
      float key[kHeadDim], value[kHeadDim];
      cache.read_key(slot, head, key);
      cache.read_value(slot, head, value);
      for (int dim = 0; dim < kHeadDim; ++dim) {
        REQUIRE_EQUAL(key[dim], key_of(token, head, dim));
        REQUIRE_EQUAL(value[dim], -key_of(token, head, dim));
      }
    }
  }
}

// Each head's token under a number of its own.
void append(KvCache& cache, Model& model, int32_t token) {
  float keys[kNumHeads][kHeadDim], values[kNumHeads][kHeadDim];
  const float *key_at[kNumHeads], *value_at[kNumHeads];
  int32_t tokens[kNumHeads];
  for (int head = 0; head < kNumHeads; ++head) {
    tokens[head] = token + head * 1000;
    for (int dim = 0; dim < kHeadDim; ++dim) {
      keys[head][dim] = key_of(tokens[head], head, dim);
      values[head][dim] = -key_of(tokens[head], head, dim);
    }
    key_at[head] = keys[head];
    value_at[head] = values[head];
  }
  cache.append_per_head(key_at, value_at, tokens);
  for (size_t head = 0; head < kNumHeads; ++head) model.heads[head].push_back(tokens[head]);
}

}  // namespace

TEST("heads keep their own tokens through recycling, eviction, forks, snapshots and failed steps") {
  std::mt19937 random(8);
  const auto below = [&](int64_t limit) {
    return static_cast<int64_t>(random() % static_cast<size_t>(limit));
  };
  const KvCache root({.num_blocks = kNumBlocks,
                      .num_kv_heads = kNumHeads,
                      .block_size = kBlockSize,
                      .head_dim = kHeadDim,
                      .per_head = true});
  std::vector<Sequence> sequences;
  std::vector<Taken> snapshots;
  int num_recycled = 0, num_taken_back = 0, num_restored = 0, num_exhausted = 0;
  int32_t next_token = 0;
  for (int operation = 0; operation < 40000; ++operation) {
    if (sequences.empty()) sequences.push_back({std::make_unique<KvCache>(root.hold()), {}, {}});
    Sequence& sequence = sequences[static_cast<size_t>(below(static_cast<int64_t>(sequences.size())))];
    KvCache& cache = *sequence.cache;
    Model& model = sequence.model;
    // A decode step over budget: each head's newest token takes the slot of one that it drops; or a block
    // goes.
    const auto step = [&] {
      append(cache, model, next_token++ % 1000);
      const int64_t newest = model.num_slots() - 1;
      if (model.num_slots() > 12 && below(2) == 0) {
        const int64_t index = below(newest / kBlockSize);
        const EvictedBlock evicted = cache.evict(static_cast<int>(index));
        for (size_t head = 0; head < kNumHeads; ++head) {
          const auto first = model.heads[head].begin() + index * kBlockSize;
          REQUIRE(evicted.positions[head] == Row(first, first + kBlockSize));
          model.heads[head].erase(first, first + kBlockSize);
        }
      } else if (newest > 0) {
        for (int head = 0; head < kNumHeads; ++head) {
          const int64_t to = below(newest + 1);
          if (to == newest) continue;
          cache.copy_slot_of_head(newest, to, head);
          Row& row = model.heads[static_cast<size_t>(head)];
          row[static_cast<size_t>(to)] = row.back();
        }
        cache.drop_newest_slot();
        for (Row& row : model.heads) row.pop_back();
        ++num_recycled;
      }
    };
    try {
      switch (below(8)) {
        case 0:
          if (sequences.size() > 4) {
            sequences.erase(sequences.begin() + below(5));
          } else {
            auto fork = std::make_unique<KvCache>(cache.hold());
            const Model committed = sequence.committed;
            sequences.push_back({std::move(fork), committed, committed});
          }
          continue;
        case 1:
          if (snapshots.size() > 4) snapshots.erase(snapshots.begin() + below(5));
          snapshots.push_back({std::make_unique<HeldTable>(cache.hold()), sequence.committed});
          continue;
        case 2:
          if (!snapshots.empty()) {
            const Taken& taken =
                snapshots[static_cast<size_t>(below(static_cast<int64_t>(snapshots.size())))];
            cache.restore(*taken.held);
            model = sequence.committed = taken.model;
            ++num_restored;
          }
          continue;
        case 3:
          step();
          cache.roll_back();
          model = sequence.committed;
          ++num_taken_back;
          break;
        case 4:
        case 5:
          append(cache, model, next_token++ % 1000);
          break;
        default:
          step();
      }
      cache.commit_step();
      sequence.committed = model;
    } catch (const Error& error) {
      REQUIRE_EQUAL(error.code(), std::string("ERR_OCTAVO_POOL_EXHAUSTED"));
      cache.roll_back();
      model = sequence.committed;
      snapshots.clear();
      if (sequences.size() > 1) sequences.pop_back();
      ++num_exhausted;
    }
    if (operation % 4 != 0) continue;
    std::set<int32_t> in_use;
    for (const Sequence& each : sequences) {
      require_same(*each.cache, each.model);
      in_use.insert(each.cache->table().block_ids().begin(), each.cache->table().block_ids().end());
    }
    for (const Taken& each : snapshots)
      in_use.insert(each.held->table().block_ids().begin(), each.held->table().block_ids().end());
    REQUIRE_EQUAL(kNumBlocks - root.pool_counts().num_free, static_cast<int>(in_use.size()));
  }
  std::printf("     %d steps recycled, %d taken back, %d rewinds, %d refused\n", num_recycled, num_taken_back,
              num_restored, num_exhausted);
  REQUIRE(num_recycled > 4000 && num_taken_back > 2000 && num_restored > 2000 && num_exhausted > 10);
  sequences.clear();
  snapshots.clear();
  REQUIRE_EQUAL(root.pool_counts().num_free, kNumBlocks);
}
