// The contract's argument objects (native/addon.ts) as the engine's structs.
#pragma once

#include <napi.h>

#include <optional>
#include <vector>

#include "model/llama.h"
#include "session/batch_events.h"
#include "session/session.h"

namespace octavo::binding {

LlamaConfig to_llama_config(const Napi::Value& value);
std::vector<WeightSource> to_weight_sources(const Napi::Value& value);
SessionConfig to_session_config(const Napi::Value& value);
AdvanceRequest to_advance_request(const Napi::Value& value);

BatchConfig to_batch_config(const Napi::Value& value);
BatchRequest to_batch_request(const Napi::Value& value);
BatchAdvance to_batch_advance(const Napi::Value& value);
// seed: the parent's, for a policy that is given none.
BatchFork to_batch_fork(const Napi::Value& value, uint64_t seed);

// Either a snapshot, or a count of tokens or steps.
struct RewindTarget {
  std::optional<int64_t> snapshot;
  RewindUnit unit;
  int64_t count;
};
// Names that are no needs are passed over: the SDK checks them.
ScoringNeeds to_scoring_needs(const Napi::Value& value);
RewindTarget to_rewind_target(const Napi::Value& value);
// seed: the parent's, for a policy that is given none.
ForkConfig to_fork_config(const Napi::Value& value, uint64_t seed);

}  // namespace octavo::binding
