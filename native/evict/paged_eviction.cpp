// The first block holds the sink tokens. A budget of at least three blocks leaves candidates under every
// option, so there is always something to drop.
#include "evict/paged_eviction.h"

#include <algorithm>

#include "evict/choose.h"
#include "evict/token_score.h"

namespace octavo {

namespace {
constexpr int kNumLocalCandidates = 3;
}

PagedEvictionPolicy::PagedEvictionPolicy(const PolicyConfig& config, int block_size)
    : BudgetedPolicy(config, block_size),
      score_(config.score),
      candidates_(config.candidates),
      tail_protect_(config.tail_protect) {}

TokenScores PagedEvictionPolicy::score_tokens(const TokenNorms& norms) const {
  return score_tokens_by(score_, norms);
}

int64_t PagedEvictionPolicy::prompt_tokens_kept(int64_t num_tokens) const {
  const int64_t extra = tail_protect_ == TailProtect::kPageAndRemainder ? num_tokens % block_size() : 0;
  return std::min(num_tokens, budget() + extra);
}

std::optional<Choice> PagedEvictionPolicy::choose_tokens(const PromptView& prompt) const {
  const int64_t num_dropped = prompt.num_tokens - prompt_tokens_kept(prompt.num_tokens);
  if (num_dropped == 0) return std::nullopt;
  const int64_t tail = tail_protect_ == TailProtect::kPageAndRemainder
                           ? block_size() + prompt.num_tokens % block_size()
                           : last_block_tokens(prompt.num_tokens, block_size());
  const int64_t end = prompt.num_tokens - tail;
  return choose_lowest(index_range(block_size(), end), {prompt.scores + block_size(), prompt.scores + end},
                       num_dropped);
}

std::optional<Choice> PagedEvictionPolicy::choose_block(const TableView& table) const {
  if (table.kv_len <= budget()) return std::nullopt;
  int end = table.num_blocks - 1;
  if (candidates_ == Candidates::kLocal) end = std::min(end, 1 + kNumLocalCandidates);
  return choose_lowest(index_range(1, end), {table.scores + 1, table.scores + end}, 1);
}

}  // namespace octavo
