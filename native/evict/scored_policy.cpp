// The first block holds the sink tokens. What is protected fits into the budget, so there is always something
// to drop above it.
#include "evict/scored_policy.h"

#include <algorithm>
#include <utility>

#include "evict/choose.h"

namespace octavo {

ScoredPolicy::ScoredPolicy(const PolicyConfig& config, int block_size)
    : Policy(config), budget_(require_budget(config, block_size)), block_size_(block_size) {}

int64_t ScoredPolicy::prompt_tokens_kept(int64_t num_tokens) const { return std::min(num_tokens, budget_); }

std::optional<Choice> ScoredPolicy::choose_tokens(const PromptView& prompt) const {
  if (prompt.num_tokens <= budget_) return std::nullopt;
  const int64_t end = prompt.num_tokens - num_protected_tokens(prompt.num_tokens);
  return choose_lowest(index_range(block_size_, end), {prompt.scores + block_size_, prompt.scores + end},
                       prompt.num_tokens - budget_);
}

std::vector<int32_t> ScoredPolicy::scored_candidates(const TableView& table) const {
  return table.kv_len <= budget_ ? std::vector<int32_t>()
                                 : index_range(1, table.num_blocks - num_protected_blocks());
}

std::optional<Choice> ScoredPolicy::choose_block(const TableView& table) const {
  std::vector<int32_t> candidates = scored_candidates(table);
  if (candidates.empty()) return std::nullopt;
  const float* first = table.scores + candidates.front();
  return choose_lowest(candidates, {first, first + candidates.size()}, 1);
}

std::optional<Choice> ScoredPolicy::choose_cached_tokens(CacheView cache, int64_t num_dropped) const {
  const int64_t end = cache.num_seen - num_protected_newest();
  return choose_lowest_between(std::move(cache), block_size_, end, num_dropped);
}

int64_t ScoredPolicy::num_protected_tokens(int64_t num_tokens) const {
  return last_block_tokens(num_tokens, block_size_);
}

}  // namespace octavo
