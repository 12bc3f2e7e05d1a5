// A session between two steps, as values that can be kept: block tables that hold their blocks, and the few
// numbers beside them. No keys or values are copied.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cache/held_table.h"
#include "evict/policy.h"

namespace octavo {

// A cached key that stands elsewhere than where it was seen.
struct MovedKey {
  std::shared_ptr<const std::vector<float>> seen;  // [num_kv_heads, head_dim], as it was cached
  int64_t shift;                                   // positions towards the query
};
using MovedKeys = std::map<int32_t, MovedKey>;  // by the position where each was seen

// Takes 8 bytes a block of every table, 4 a slot where the policy keeps values of tokens, and a copy of
// logits and queries.
struct Checkpoint {
  uint64_t state_id;              // of the completed step after which it was taken; unique in its session
  std::vector<HeldTable> tables;  // [num_layers]
  std::vector<int32_t> num_nan_scores;          // [num_layers]
  std::vector<std::vector<float>> slot_values;  // [num_layers] of [num_slots, num_choosers], or empty ones
  std::vector<MovedKeys> moved_keys;            // [num_layers]
  std::vector<float> queries;                   // [num_layers, num_query_heads, head_dim], of the last token
  std::vector<float> logits;                    // [vocab_size]
  double log_sum_exp;
  int64_t next_step_index;
  int64_t num_tokens;
  int64_t attention_since;  // position of the first query that attention is summed up from
  int64_t prompt_tokens_dropped;
  int32_t next_eviction_id;

  // The same with tables elsewhere: [num_layers].
  std::shared_ptr<const Checkpoint> with_tables(std::vector<HeldTable> elsewhere) const {
    return std::make_shared<const Checkpoint>(Checkpoint{.state_id = state_id,
                                                         .tables = std::move(elsewhere),
                                                         .num_nan_scores = num_nan_scores,
                                                         .slot_values = slot_values,
                                                         .moved_keys = moved_keys,
                                                         .queries = queries,
                                                         .logits = logits,
                                                         .log_sum_exp = log_sum_exp,
                                                         .next_step_index = next_step_index,
                                                         .num_tokens = num_tokens,
                                                         .attention_since = attention_since,
                                                         .prompt_tokens_dropped = prompt_tokens_dropped,
                                                         .next_eviction_id = next_eviction_id});
  }
};

// A checkpoint that its owner may go back to from any line of steps, hence with the tokens that led to it.
struct Snapshot {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::vector<int32_t> tokens;
};

// What a fork does differently from here on.
struct ForkConfig {
  std::optional<PolicyConfig> policy;
  std::optional<uint64_t> seed;
};

// Where to go back to.
enum class RewindUnit { kTokens, kStep };

}  // namespace octavo
