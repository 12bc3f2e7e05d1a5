// StreamingLLM in blocks: the first block (the sink tokens) and the most recent tokens stay. Its score is
// age: the position of a token, the place of a block in the table. Source: arXiv:2309.17453. Differs: sink
// and window are counted in blocks, and positions are not reassigned.
#pragma once

#include "evict/policy.h"

namespace octavo {

class StreamingLlmPolicy final : public Policy {
 public:
  // Throws ERR_OCTAVO_BUDGET.
  StreamingLlmPolicy(const PolicyConfig& config, int block_size);

  int64_t prompt_tokens_kept(int64_t num_tokens) const override;
  std::optional<Choice> choose_tokens(const PromptView& prompt) const override;
  std::optional<Choice> choose_block(const TableView& table) const override;

 private:
  int64_t budget_;
  int block_size_;
};

}  // namespace octavo
