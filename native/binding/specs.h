// The contract's argument objects (native/addon.ts) as the engine's structs.
#pragma once

#include <napi.h>

#include <vector>

#include "model/llama.h"
#include "session/session.h"

namespace octavo::binding {

LlamaConfig to_llama_config(const Napi::Value& value);
std::vector<WeightSource> to_weight_sources(const Napi::Value& value);
SessionConfig to_session_config(const Napi::Value& value);
AdvanceRequest to_advance_request(const Napi::Value& value);

}  // namespace octavo::binding
