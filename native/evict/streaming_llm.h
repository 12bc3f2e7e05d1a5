// StreamingLLM: the first tokens (the sinks) and the most recent ones stay. Its score is age: the position of
// a token, the place of a block in the table. Source: arXiv:2309.17453. Differs: as blocks, sinks and window
// are counted in blocks; positions are reassigned on option only.
#pragma once

#include "evict/policy.h"

namespace octavo {

class StreamingLlmPolicy final : public Policy {
 public:
  // Throws ERR_OCTAVO_BUDGET, also when the sinks leave less than a block of the budget, and as blocks when
  // they are not whole ones.
  StreamingLlmPolicy(const PolicyConfig& config, int block_size);

  int64_t prompt_tokens_kept(int64_t num_tokens) const override;
  std::optional<Choice> choose_tokens(const PromptView& prompt) const override;
  std::optional<Choice> choose_block(const TableView& table) const override;
  int64_t tokens_over_budget(int64_t num_live) const override {
    return num_live > budget_ ? num_live - budget_ : 0;
  }
  std::optional<Choice> choose_cached_tokens(CacheView cache, int64_t num_dropped) const override;

 private:
  int64_t budget_;
  int block_size_;
  int64_t num_sinks_;
};

}  // namespace octavo
