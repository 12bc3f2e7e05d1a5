// Running a batch in tests.
#pragma once

#include "session/batch.h"
#include "session_runs.h"
#include "test.h"

namespace octavo::test {

inline BatchRequest batch_request(const std::string& policy, int64_t budget, std::vector<int32_t> prompt,
                                  int64_t max_tokens, double temperature = 0) {
  BatchRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.policy.name = policy;
  if (policy != "full") request.policy.budget = budget;
  request.policy.seed = request.seed = 77;
  request.sampling.temperature = temperature;
  request.record_blocks = request.record_logits = true;
  return request;
}

inline BatchResult advance(Batch& batch, int64_t max_steps, const BatchAdvance& like = {}) {
  BatchAdvance request = like;
  request.max_steps = max_steps;
  const std::atomic<bool> cancelled = false;
  return batch.advance(request, cancelled);
}

inline void run_to_end(Batch& batch) {
  for (int calls = 0; advance(batch, 1).reason != BatchReason::kDone; ++calls) REQUIRE(calls < 10000);
}

inline SequenceState state_of(Batch& batch, int64_t id) {
  return static_cast<SequenceState>(batch.requests().state[static_cast<size_t>(id)]);
}

inline void require_pools_free(const Batch& batch, int num_blocks) {
  for (int layer = 0; layer < batch.model_config().num_layers; ++layer)
    REQUIRE_EQUAL(batch.pool_counts(layer).num_free, num_blocks);
}

}  // namespace octavo::test
