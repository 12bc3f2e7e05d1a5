// The first block holds the sink tokens. What is protected fits into the budget, so there is always something
// to drop above it.
#include "evict/scored_policy.h"

#include <algorithm>
#include <utility>

#include "evict/choose.h"

namespace octavo {

std::optional<Choice> ScoredPolicy::choose_tokens(const PromptView& prompt) const {
  if (prompt.num_tokens <= budget()) return std::nullopt;
  const int64_t end = prompt.num_tokens - num_protected_tokens(prompt.num_tokens);
  return choose_lowest(index_range(block_size(), end), {prompt.scores + block_size(), prompt.scores + end},
                       prompt.num_tokens - budget());
}

std::vector<int32_t> ScoredPolicy::scored_candidates(const TableView& table) const {
  return table.kv_len <= budget() ? std::vector<int32_t>()
                                  : index_range(1, table.num_blocks - num_protected_blocks());
}

std::optional<Choice> ScoredPolicy::choose_block(const TableView& table) const {
  std::vector<int32_t> candidates = scored_candidates(table);
  if (candidates.empty()) return std::nullopt;
  const float* first = table.scores + candidates.front();
  return choose_lowest(candidates, {first, first + candidates.size()}, 1);
}

std::optional<Choice> ScoredPolicy::choose_cached_tokens(const CacheView& cache, int64_t num_dropped) const {
  const int64_t end = cache.num_seen - num_protected_newest();
  return choose_lowest_between(cache, block_size(), end, num_dropped);
}

int64_t ScoredPolicy::num_protected_tokens(int64_t num_tokens) const {
  return last_block_tokens(num_tokens, block_size());
}

}  // namespace octavo
