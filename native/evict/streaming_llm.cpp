// Ages are exact in fp32 up to 2^24 tokens; beyond, equal scores still go oldest first.
#include "evict/streaming_llm.h"

#include <algorithm>

#include "evict/choose.h"

namespace octavo {

namespace {

Choice choose_oldest(std::vector<int32_t> candidates, int64_t num_dropped) {
  std::vector<float> ages(candidates.begin(), candidates.end());
  return choose_lowest(std::move(candidates), std::move(ages), num_dropped);
}

}  // namespace

StreamingLlmPolicy::StreamingLlmPolicy(const PolicyConfig& config, int block_size)
    : budget_(require_budget(config, block_size)), block_size_(block_size) {}

int64_t StreamingLlmPolicy::prompt_tokens_kept(int64_t num_tokens) const {
  return std::min(num_tokens, budget_);
}

std::optional<Choice> StreamingLlmPolicy::choose_tokens(const PromptView& prompt) const {
  const int64_t num_dropped = prompt.num_tokens - prompt_tokens_kept(prompt.num_tokens);
  if (num_dropped == 0) return std::nullopt;
  const int64_t end = prompt.num_tokens - last_block_tokens(prompt.num_tokens, block_size_);
  return choose_oldest(index_range(block_size_, end), num_dropped);
}

std::optional<Choice> StreamingLlmPolicy::choose_block(const TableView& table) const {
  if (table.kv_len <= budget_) return std::nullopt;
  return choose_oldest(index_range(1, table.num_blocks - 1), 1);
}

}  // namespace octavo
