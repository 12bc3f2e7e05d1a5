// The engine's answers as the contract's plain objects (native/addon.ts).
#pragma once

#include <napi.h>

#include "session/batch_events.h"

namespace octavo::binding {

Napi::Object to_js(Napi::Env env, AdvanceResult&& result);
Napi::Object to_js(Napi::Env env, LayerState&& state);
Napi::Object to_js(Napi::Env env, ScoringInputs&& inputs);
Napi::Object to_js(Napi::Env env, BatchResult&& result);

}  // namespace octavo::binding
