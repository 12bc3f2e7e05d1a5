// Running a batch in tests.
#pragma once

#include "session/batch.h"
#include "session_runs.h"
#include "test.h"

namespace octavo::test {

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
