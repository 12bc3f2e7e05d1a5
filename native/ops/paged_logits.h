// What a query is to every cached key, multiplied out before attention for a policy that scores by it;
// attention then takes it over, so that keys are read once. A token that goes in between takes its products
// along.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/paged_attention.h"
#include "ops/paged_attention_simd.h"

namespace octavo {

// Of one query over the live slots of a block table; its memory is reused. One thread at a time.
class PagedLogits {
 public:
  void multiply(const PagedAttentionShape& shape,
                const float* query,          // [num_query_heads, head_dim], after RoPE
                const void* key_cache,       // [num_blocks, num_kv_heads, block_size, head_dim]
                const int32_t* block_table,  // [ceil(num_slots / block_size)]
                int64_t num_slots,
                const uint64_t* dead_slots);  // as in CachedSlots; null: every slot is live
  // Nothing is held from here on.
  void clear() { num_slots_ = 0; }
  // Slots that it is of; 0 while nothing is held.
  int64_t num_slots() const { return num_slots_; }

  // What query heads give each slot, their mean; of each row's share of the heads. With the dead slots that
  // were passed to multiply.
  void mass(float scale,
            int num_rows,  // 1, or one a KV head
            const uint64_t* dead_slots,
            std::vector<float>& to);  // [num_slots, num_rows], 0 in holes

  // After changes to the table that was passed to multiply. Of a slot whose token went, and stays as a hole:
  // the set bit may be there or not.
  void leave_hole(int64_t slot, const uint64_t* dead_slots);
  // Of the newest slot, given up, and its token moved to another slot. Only where none is dead.
  void move_newest_to(int64_t slot);

  // Of one split, from a query head on: [heads, kSlotsPerSplit], the live slots' in their order, then
  // -infinity.
  const float* of_split(int64_t split_index, int64_t first_head) const {
    return values_.data() + (split_index * shape_.num_query_heads + first_head) * kSlotsPerSplit;
  }

 private:
  int64_t num_splits() const { return (num_slots_ + kSlotsPerSplit - 1) / kSlotsPerSplit; }
  float* row(int64_t split_index, int64_t head) {
    return values_.data() + (split_index * shape_.num_query_heads + head) * kSlotsPerSplit;
  }

  PagedAttentionShape shape_{};
  int64_t num_slots_ = 0;
  std::vector<float> values_;  // [num_splits, num_query_heads, kSlotsPerSplit]
  std::vector<double> scratch_;
};

}  // namespace octavo
