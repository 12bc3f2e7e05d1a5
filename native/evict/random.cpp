// The lowest of independent uniform scores is a uniform choice. Scores carry 24 bits, all that fp32 holds in
// [0, 1); equal ones are rare and go oldest first.
#include "evict/random.h"

#include <algorithm>

#include "core/random.h"
#include "evict/choose.h"

namespace octavo {

RandomPolicy::RandomPolicy(const PolicyConfig& config, int block_size)
    : budget_(require_budget(config, block_size)), block_size_(block_size), seed_(config.seed) {}

int64_t RandomPolicy::prompt_tokens_kept(int64_t num_tokens) const { return std::min(num_tokens, budget_); }

std::optional<Choice> RandomPolicy::choose_tokens(const PromptView& prompt) const {
  const int64_t num_dropped = prompt.num_tokens - prompt_tokens_kept(prompt.num_tokens);
  if (num_dropped == 0) return std::nullopt;
  const int64_t end = prompt.num_tokens - last_block_tokens(prompt.num_tokens, block_size_);
  return choose_drawn(index_range(block_size_, end), prompt.layer, prompt.step_index, num_dropped);
}

std::optional<Choice> RandomPolicy::choose_block(const TableView& table) const {
  if (table.kv_len <= budget_) return std::nullopt;
  return choose_drawn(index_range(1, table.num_blocks - 1), table.layer, table.step_index, 1);
}

Choice RandomPolicy::choose_drawn(std::vector<int32_t> candidates, int layer, int64_t step_index,
                                  int64_t num_dropped) const {
  std::vector<float> scores;
  scores.reserve(candidates.size());
  for (const int32_t candidate : candidates) {
    const uint64_t bits = random_bits(seed_, RandomStream::kEviction, static_cast<uint32_t>(layer),
                                      static_cast<uint32_t>(step_index), static_cast<uint32_t>(candidate));
    scores.push_back(static_cast<float>(bits >> 40) * 0x1p-24F);
  }
  return choose_lowest(std::move(candidates), std::move(scores), num_dropped);
}

}  // namespace octavo
