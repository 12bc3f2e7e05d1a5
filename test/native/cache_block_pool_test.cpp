// Block pool and block table against plain models of them, over long random runs.
#include <algorithm>
#include <random>

#include "cache/block_pool.h"
#include "cache/block_table.h"
#include "test.h"

using octavo::BlockPool;
using octavo::BlockTable;
using octavo::Holder;

namespace {

// The pool as its documentation describes it: who holds which block, with how many slots.
struct PoolModel {
  struct Held {
    int block_id, covered;
    Holder holder;
  };
  std::vector<Held> held;

  int ref_count(int block_id) const {
    return static_cast<int>(
        std::count_if(held.begin(), held.end(), [&](const Held& each) { return each.block_id == block_id; }));
  }
  bool has_table(int block_id) const {
    return std::any_of(held.begin(), held.end(), [&](const Held& each) {
      return each.block_id == block_id && each.holder == Holder::kTable;
    });
  }
  int lowest_free(int num_blocks) const {
    for (int block_id = 0; block_id < num_blocks; ++block_id) {
      if (ref_count(block_id) == 0) return block_id;
    }
    return num_blocks;
  }
};

void require_same(const BlockPool& pool, const PoolModel& model, int block_size) {
  int num_free = 0, num_parked = 0;
  for (int block_id = 0; block_id < pool.num_blocks(); ++block_id) {
    const int count = model.ref_count(block_id);
    REQUIRE_EQUAL(pool.ref_count(block_id), count);
    num_free += count == 0 ? 1 : 0;
    num_parked += count > 0 && !model.has_table(block_id) ? 1 : 0;
    for (int slots = 0; slots <= block_size; ++slots) {
      const bool beyond = std::any_of(model.held.begin(), model.held.end(), [&](const PoolModel::Held& each) {
        return each.block_id == block_id && each.covered > slots;
      });
      REQUIRE_EQUAL(pool.is_covered_beyond(block_id, slots), beyond);
    }
  }
  REQUIRE_EQUAL(pool.num_free(), num_free);
  REQUIRE_EQUAL(pool.num_parked(), num_parked);
}

}  // namespace

TEST("100,000 random operations on block pools keep every invariant") {
  std::mt19937 random(1);
  const auto below = [&](int limit) { return static_cast<int>(random() % static_cast<unsigned>(limit)); };
  constexpr int kSlots = 4;
  int num_exhausted = 0, num_freed = 0, num_refused = 0;
  for (int round = 0; round < 100; ++round) {
    const int num_blocks = 1 + below(16);
    BlockPool pool(num_blocks, kSlots);
    PoolModel model;
    for (int operation = 0; operation < 1000; ++operation) {
      const int lowest = model.lowest_free(num_blocks);
      const int covered = below(kSlots + 1);
      const Holder holder = below(2) ? Holder::kTable : Holder::kSnapshot;
      const int block_id = below(num_blocks);
      const size_t place = model.held.empty() ? 0 : random() % model.held.size();
      switch (below(6)) {
        case 0:
          if (lowest == num_blocks) {
            REQUIRE_ERROR("ERR_OCTAVO_POOL_EXHAUSTED", pool.allocate());
            ++num_exhausted;
          } else {
            REQUIRE_EQUAL(pool.allocate(covered), lowest);
            model.held.push_back({lowest, covered, Holder::kTable});
          }
          break;
        case 1:
          if (model.ref_count(block_id) == 0) {
            REQUIRE_ERROR("ERR_OCTAVO_BLOCK", pool.retain(block_id, covered, holder));
          } else {
            pool.retain(block_id, covered, holder);
            model.held.push_back({block_id, covered, holder});
          }
          break;
        case 2:
          if (model.ref_count(block_id) == 0) {
            REQUIRE_ERROR("ERR_OCTAVO_BLOCK", pool.release(block_id, covered, holder));
            ++num_refused;
          }
          break;
        case 3:
          if (!model.held.empty()) {
            PoolModel::Held& held = model.held[place];
            pool.cover(held.block_id, held.covered, covered);
            held.covered = covered;
          }
          break;
        default:
          if (!model.held.empty()) {
            const PoolModel::Held held = model.held[place];
            model.held.erase(model.held.begin() + static_cast<int64_t>(place));
            const bool freed = model.ref_count(held.block_id) == 0;
            REQUIRE_EQUAL(pool.release(held.block_id, held.covered, held.holder), freed);
            num_freed += freed ? 1 : 0;
          }
      }
      require_same(pool, model, kSlots);
    }
    for (const PoolModel::Held& held : model.held) pool.release(held.block_id, held.covered, held.holder);
    REQUIRE_EQUAL(pool.num_free(), num_blocks);
    REQUIRE_EQUAL(pool.num_parked(), 0);
  }
  REQUIRE(num_exhausted > 100 && num_freed > 1000 && num_refused > 100);
}

TEST("ids outside a pool, holders that are none, and pools without blocks, are refused") {
  BlockPool pool(4, 2);
  for (const int block_id : {-1, 4, 1 << 30}) {
    REQUIRE_ERROR("ERR_OCTAVO_BLOCK", pool.ref_count(block_id));
    REQUIRE_ERROR("ERR_OCTAVO_BLOCK", pool.retain(block_id, 0, Holder::kTable));
    REQUIRE_ERROR("ERR_OCTAVO_BLOCK", pool.release(block_id, 0, Holder::kTable));
  }
  REQUIRE_EQUAL(pool.allocate(1), 0);
  REQUIRE_ERROR("ERR_OCTAVO_BLOCK", pool.release(0, 2, Holder::kTable));
  REQUIRE_ERROR("ERR_OCTAVO_BLOCK", pool.release(0, 1, Holder::kSnapshot));
  REQUIRE_ERROR("ERR_OCTAVO_BLOCK", pool.retain(0, 3, Holder::kTable));
  REQUIRE_ERROR("ERR_OCTAVO_BLOCK", pool.cover(0, 0, 1));
  REQUIRE(pool.release(0, 1, Holder::kTable));
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", BlockPool(0, 1));
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", BlockPool(1, 0));
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
