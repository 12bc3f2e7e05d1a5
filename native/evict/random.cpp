// The lowest of independent uniform scores is a uniform choice. Scores carry 24 bits, all that fp32 holds in
// [0, 1); equal ones are rare and go oldest first.
#include "evict/random.h"

#include <algorithm>
#include <utility>

#include "core/random.h"
#include "evict/choose.h"

namespace octavo {

namespace {

// Layers are below 2^12, heads below 2^20.
uint32_t stream_of(int layer, std::optional<int> kv_head) {
  return static_cast<uint32_t>(layer) + (kv_head ? static_cast<uint32_t>(*kv_head + 1) << 12 : 0U);
}

}  // namespace

RandomPolicy::RandomPolicy(const PolicyConfig& config, int block_size)
    : BudgetedPolicy(config, block_size), seed_(config.seed) {}

std::optional<Choice> RandomPolicy::choose_tokens(const PromptView& prompt) const {
  const int64_t num_dropped = prompt.num_tokens - prompt_tokens_kept(prompt.num_tokens);
  if (num_dropped == 0) return std::nullopt;
  const int64_t end = prompt.num_tokens - last_block_tokens(prompt.num_tokens, block_size());
  std::vector<int32_t> candidates = index_range(block_size(), end);
  std::vector<float> scores = draw(candidates, stream_of(prompt.layer, prompt.kv_head), prompt.step_index);
  return choose_lowest(std::move(candidates), std::move(scores), num_dropped);
}

std::optional<Choice> RandomPolicy::choose_block(const TableView& table) const {
  if (table.kv_len <= budget()) return std::nullopt;
  std::vector<int32_t> candidates = index_range(1, table.num_blocks - 1);
  std::vector<float> scores = draw(candidates, stream_of(table.layer, {}), table.step_index);
  return choose_lowest(std::move(candidates), std::move(scores), 1);
}

std::optional<Choice> RandomPolicy::choose_cached_tokens(const CacheView& cache, int64_t num_dropped) const {
  const std::vector<float> scores =
      draw(cache.positions, stream_of(cache.layer, cache.kv_head), cache.step_index);
  CacheView scored = cache;
  scored.scores = scores;
  return choose_lowest_between(scored, block_size(), cache.num_seen - 1, num_dropped);
}

std::vector<float> RandomPolicy::draw(std::span<const int32_t> candidates, uint32_t stream,
                                      int64_t step_index) const {
  std::vector<float> scores;
  scores.reserve(candidates.size());
  for (const int32_t candidate : candidates) {
    const uint64_t bits = random_bits(seed_, RandomStream::kEviction, stream,
                                      static_cast<uint32_t>(step_index), static_cast<uint32_t>(candidate));
    scores.push_back(static_cast<float>(bits >> 40) * 0x1p-24F);
  }
  return scores;
}

}  // namespace octavo
