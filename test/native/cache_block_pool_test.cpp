// Block pool, block table and cache against plain models of them, over long random runs that take steps back.
#include <deque>
#include <random>

#include "cache/block_pool.h"
#include "cache/block_table.h"
#include "cache/kv_cache.h"
#include "test.h"

using octavo::BlockPool;
using octavo::BlockTable;
using octavo::KvCache;

namespace {

// The pool as its documentation describes it.
struct PoolModel {
  std::deque<int> free;
  std::vector<int> ref_counts;

  explicit PoolModel(int num_blocks) : ref_counts(static_cast<size_t>(num_blocks), 0) {
    for (int block_id = 0; block_id < num_blocks; ++block_id) free.push_back(block_id);
  }
};

void require_same(const BlockPool& pool, const PoolModel& model) {
  REQUIRE_EQUAL(pool.num_free(), static_cast<int>(model.free.size()));
  int num_in_use = 0;
  for (int block_id = 0; block_id < pool.num_blocks(); ++block_id) {
    REQUIRE_EQUAL(pool.ref_count(block_id), model.ref_counts[static_cast<size_t>(block_id)]);
    if (pool.ref_count(block_id) > 0) ++num_in_use;
  }
  REQUIRE_EQUAL(pool.num_free() + num_in_use, pool.num_blocks());
}

// The order of the free queue, which no method shows.
void require_same_order(BlockPool pool, const PoolModel& model) {
  for (const int block_id : model.free) REQUIRE_EQUAL(pool.allocate(), block_id);
  REQUIRE_ERROR("ERR_OCTAVO_POOL_EXHAUSTED", pool.allocate());
}

}  // namespace

TEST("100,000 random operations on block pools, some taken back, keep every invariant") {
  std::mt19937 random(1);
  const auto below = [&](int limit) { return static_cast<int>(random() % static_cast<unsigned>(limit)); };
  int num_exhausted = 0, num_freed = 0, num_undone = 0;
  for (int round = 0; round < 100; ++round) {
    const int num_blocks = 1 + below(24);
    BlockPool pool(num_blocks);
    PoolModel model(num_blocks);
    struct Done {
      int block_id;
      bool allocated, freed;
      PoolModel before;
    };
    std::vector<Done> undo;
    for (int operation = 0; operation < 1000; ++operation) {
      const int block_id = below(num_blocks);
      auto& count = model.ref_counts[static_cast<size_t>(block_id)];
      const PoolModel before = model;
      switch (below(5)) {
        case 0:
        case 1:
          if (model.free.empty()) {
            REQUIRE_ERROR("ERR_OCTAVO_POOL_EXHAUSTED", pool.allocate());
            ++num_exhausted;
          } else {
            const int expected = model.free.front();
            model.free.pop_front();
            model.ref_counts[static_cast<size_t>(expected)] = 1;
            REQUIRE_EQUAL(pool.allocate(), expected);
            undo.push_back({expected, true, false, before});
          }
          break;
        case 2:
          if (count == 0) {
            REQUIRE_ERROR("ERR_OCTAVO_BLOCK", pool.retain(block_id));
          } else {
            ++count;
            pool.retain(block_id);
            undo.clear();  // only allocate and release can be taken back
          }
          break;
        case 3:
          if (count == 0) {
            REQUIRE_ERROR("ERR_OCTAVO_BLOCK", pool.release(block_id));
          } else {
            const bool freed = --count == 0;
            if (freed) model.free.push_back(block_id);
            REQUIRE_EQUAL(pool.release(block_id), freed);
            undo.push_back({block_id, false, freed, before});
            num_freed += freed ? 1 : 0;
          }
          break;
        default:
          for (int steps = below(4); steps > 0 && !undo.empty(); --steps, ++num_undone) {
            const Done& last = undo.back();
            if (last.allocated) {
              pool.undo_allocate(last.block_id);
            } else {
              pool.undo_release(last.block_id, last.freed);
            }
            model = last.before;
            undo.pop_back();
          }
      }
      require_same(pool, model);
      if (operation % 50 == 0) require_same_order(pool, model);
    }
    for (int block_id = 0; block_id < num_blocks; ++block_id) {
      while (pool.ref_count(block_id) > 0) pool.release(block_id);
    }
    REQUIRE_EQUAL(pool.num_free(), num_blocks);
  }
  REQUIRE(num_exhausted > 1000 && num_freed > 1000 && num_undone > 1000);
}

TEST("ids outside a pool, and pools without blocks, are refused") {
  BlockPool pool(4);
  for (const int block_id : {-1, 4, 1 << 30}) {
    REQUIRE_ERROR("ERR_OCTAVO_BLOCK", pool.ref_count(block_id));
    REQUIRE_ERROR("ERR_OCTAVO_BLOCK", pool.retain(block_id));
    REQUIRE_ERROR("ERR_OCTAVO_BLOCK", pool.release(block_id));
  }
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", BlockPool(0));
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", BlockTable(0));
}

TEST("a block table keeps order, filled slots and length through appends and erasures") {
  std::mt19937 random(2);
  for (const int block_size : {1, 2, 8, 16}) {
    BlockTable table(block_size);
    std::vector<std::pair<int32_t, int>> model;  // id and filled slots
    int32_t next_id = 0;
    for (int operation = 0; operation < 3000; ++operation) {
      const bool full = model.empty() || model.back().second == block_size;
      REQUIRE_EQUAL(table.is_full(), full);
      if (random() % 10 < 7 || model.size() < 2) {
        if (full) {
          REQUIRE_ERROR("ERR_OCTAVO_BLOCK", table.append_slot());
          table.append_block(next_id);
          model.emplace_back(next_id++, 0);
        }
        REQUIRE_EQUAL(table.append_slot(), model.back().second);
        ++model.back().second;
        if (model.back().second < block_size) REQUIRE_ERROR("ERR_OCTAVO_BLOCK", table.append_block(0));
      } else {
        const auto index = static_cast<int>(random() % model.size());
        REQUIRE_EQUAL(table.erase_block(index), model[static_cast<size_t>(index)].first);
        model.erase(model.begin() + index);
      }
      int64_t kv_len = 0;
      REQUIRE_EQUAL(table.num_blocks(), static_cast<int>(model.size()));
      for (size_t index = 0; index < model.size(); ++index) {
        REQUIRE_EQUAL(table.block_id(static_cast<int>(index)), model[index].first);
        REQUIRE_EQUAL(table.filled(static_cast<int>(index)), model[index].second);
        kv_len += model[index].second;
      }
      REQUIRE_EQUAL(table.kv_len(), kv_len);
      REQUIRE_EQUAL(table.allocated_tokens(), static_cast<int64_t>(model.size()) * block_size);
    }
    REQUIRE_ERROR("ERR_OCTAVO_BLOCK", table.erase_block(table.num_blocks()));
    REQUIRE_ERROR("ERR_OCTAVO_BLOCK", table.filled(-1));
  }
}

namespace {

constexpr int kNumHeads = 2, kHeadDim = 3, kBlockSize = 4;

float key_of(int64_t position, int head, int dim) {
  return static_cast<float>(position * 100 + head * 10 + dim);
}

struct CacheModel {
  struct Block {
    int32_t block_id;
    std::vector<int32_t> positions;
    float score;
  };
  std::vector<Block> blocks;
};

void require_same(const KvCache& cache, const CacheModel& model) {
  REQUIRE_EQUAL(cache.table().num_blocks(), static_cast<int>(model.blocks.size()));
  for (size_t index = 0; index < model.blocks.size(); ++index) {
    const CacheModel::Block& block = model.blocks[index];
    REQUIRE_EQUAL(cache.table().block_id(static_cast<int>(index)), block.block_id);
    REQUIRE(cache.live_positions(static_cast<int>(index)) == block.positions);
    REQUIRE_EQUAL(cache.pool().ref_count(block.block_id), 1);
    const float score = cache.score(block.block_id);
    REQUIRE(score == block.score || (std::isnan(score) && std::isnan(block.score)));
    for (size_t slot = 0; slot < block.positions.size(); ++slot) {
      for (int head = 0; head < kNumHeads; ++head) {
        for (int dim = 0; dim < kHeadDim; ++dim) {
          const size_t at = (static_cast<size_t>(head) * kBlockSize + slot) * kHeadDim + dim;
          REQUIRE_EQUAL(cache.block_keys(block.block_id)[at], key_of(block.positions[slot], head, dim));
          REQUIRE_EQUAL(cache.block_values(block.block_id)[at], -key_of(block.positions[slot], head, dim));
        }
      }
    }
  }
  REQUIRE_EQUAL(cache.pool().num_free(), cache.shape().num_blocks - static_cast<int>(model.blocks.size()));
}

std::vector<int32_t> all_positions(const KvCache& cache) {
  const int32_t* positions = cache.positions().i32();
  return {positions, positions + cache.positions().num_elements()};
}

// The ids that allocations to come would give.
std::vector<int> free_order(BlockPool pool) {
  std::vector<int> order;
  while (pool.num_free() > 0) order.push_back(pool.allocate());
  return order;
}

}  // namespace

TEST("a cache keeps contents, positions and scores with their blocks, and takes steps back whole") {
  std::mt19937 random(3);
  KvCache cache({.num_blocks = 9, .num_kv_heads = kNumHeads, .block_size = kBlockSize, .head_dim = kHeadDim});
  for (const int32_t position : all_positions(cache)) REQUIRE_EQUAL(position, -1);
  CacheModel model;
  int64_t next_position = 0;
  int num_rolled_back = 0, num_evicted = 0, num_exhausted = 0;
  for (int step = 0; step < 20000; ++step) {
    cache.begin_step();
    const CacheModel before = model;
    const std::vector<int32_t> positions_before = all_positions(cache);
    const std::vector<int> order_before = free_order(cache.pool());
    const int64_t first_position = next_position;
    bool evicting = false;  // a step appends first
    for (int change = static_cast<int>(random() % 6); change >= 0; --change) {
      const bool full = model.blocks.empty() || model.blocks.back().positions.size() == kBlockSize;
      if (!evicting && random() % 20 < 17) {
        float key[kNumHeads * kHeadDim], value[kNumHeads * kHeadDim];
        for (int head = 0; head < kNumHeads; ++head) {
          for (int dim = 0; dim < kHeadDim; ++dim) {
            key[head * kHeadDim + dim] = key_of(next_position, head, dim);
            value[head * kHeadDim + dim] = -key_of(next_position, head, dim);
          }
        }
        if (full && cache.pool().num_free() == 0) {
          REQUIRE_ERROR("ERR_OCTAVO_POOL_EXHAUSTED", cache.append(key, value, next_position));
          ++num_exhausted;
          continue;
        }
        if (full) model.blocks.push_back({free_order(cache.pool()).front(), {}, KvCache::kNoScore});
        cache.append(key, value, next_position);
        model.blocks.back().positions.push_back(static_cast<int32_t>(next_position++));
      } else if (!model.blocks.empty()) {
        const size_t index = random() % model.blocks.size();
        if (random() % 2) {
          model.blocks[index].score = static_cast<float>(random() % 100);
          cache.set_score(model.blocks[index].block_id, model.blocks[index].score);
        } else {
          evicting = true;
          const octavo::EvictedBlock evicted = cache.evict(static_cast<int>(index));
          REQUIRE_EQUAL(evicted.block_id, model.blocks[index].block_id);
          REQUIRE(evicted.freed);
          REQUIRE(evicted.positions == model.blocks[index].positions);
          model.blocks.erase(model.blocks.begin() + static_cast<int64_t>(index));
          ++num_evicted;
        }
      }
    }
    require_same(cache, model);
    if (random() % 3 == 0) {
      cache.roll_back();
      model = before;
      next_position = first_position;
      REQUIRE(all_positions(cache) == positions_before);
      REQUIRE(free_order(cache.pool()) == order_before);
      require_same(cache, model);
      ++num_rolled_back;
    }
  }
  REQUIRE(num_rolled_back > 1000 && num_evicted > 1000 && num_exhausted > 100);
  cache.clear();
  REQUIRE_EQUAL(cache.pool().num_free(), 9);
}

TEST("a cache too large to be shown is refused before anything is allocated") {
  REQUIRE_ERROR(
      "ERR_OCTAVO_ARGUMENT",
      KvCache({.num_blocks = 1 << 30, .num_kv_heads = 1 << 20, .block_size = 256, .head_dim = 1 << 20}));
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT",
                KvCache({.num_blocks = 1 << 20, .num_kv_heads = 8, .block_size = 16, .head_dim = 128}));
}
