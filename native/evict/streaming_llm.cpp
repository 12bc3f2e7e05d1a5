// Ages are exact in fp32 up to 2^24 tokens; beyond, equal scores still go oldest first.
#include "evict/streaming_llm.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/check.h"
#include "evict/choose.h"

namespace octavo {

namespace {

constexpr int kDefaultSinks = 4;

Choice choose_oldest(std::vector<int32_t> candidates, int64_t num_dropped) {
  std::vector<float> ages(candidates.begin(), candidates.end());
  return choose_lowest(std::move(candidates), std::move(ages), num_dropped);
}

}  // namespace

StreamingLlmPolicy::StreamingLlmPolicy(const PolicyConfig& config, int block_size)
    : BudgetedPolicy(config, block_size) {
  const bool in_blocks = unit() == EvictionUnit::kBlock;
  num_sinks_ = config.num_sinks.value_or(in_blocks ? block_size : std::min(kDefaultSinks, block_size));
  const int64_t most = budget() - block_size - (in_blocks ? block_size : 0);
  if (num_sinks_ < 0 || num_sinks_ > most || (in_blocks && num_sinks_ % block_size != 0)) {
    throw Error("ERR_OCTAVO_BUDGET",
                std::string("Expected ") +
                    (in_blocks ? "whole blocks (of " + std::to_string(block_size) + "), " : "") + "0 to " +
                    std::to_string(most) + " for sinks but received " + std::to_string(num_sinks_));
  }
}

std::optional<Choice> StreamingLlmPolicy::choose_tokens(const PromptView& prompt) const {
  const int64_t num_dropped = prompt.num_tokens - prompt_tokens_kept(prompt.num_tokens);
  if (num_dropped == 0) return std::nullopt;
  const int64_t end = prompt.num_tokens - last_block_tokens(prompt.num_tokens, block_size());
  return choose_oldest(index_range(num_sinks_, end), num_dropped);
}

std::optional<Choice> StreamingLlmPolicy::choose_block(const TableView& table) const {
  if (table.kv_len <= budget()) return std::nullopt;
  return choose_oldest(index_range(num_sinks_ / block_size(), table.num_blocks - 1), 1);
}

std::optional<Choice> StreamingLlmPolicy::choose_cached_tokens(const CacheView& cache,
                                                               int64_t num_dropped) const {
  const std::vector<float> ages(cache.positions.begin(), cache.positions.end());
  CacheView aged = cache;
  aged.scores = ages;
  return choose_lowest_between(aged, num_sinks_, cache.num_seen - 1, num_dropped);
}

}  // namespace octavo
