// Fields that do not apply are left out, as the contract's unions ask.
#include "binding/results.h"

#include <utility>
#include <variant>

#include "binding/views.h"

namespace octavo::binding {

namespace {

// What every event has.
template <typename Event>
Napi::Object event_object(Napi::Env env, const char* kind, const Event& event) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", kind);
  object.Set("stepIndex", static_cast<double>(event.step_index));
  object.Set("layer", event.layer);
  return object;
}

template <typename Event>
void set_what_goes(Napi::Object object, const Event& event) {
  object.Set("phase", event.phase == Phase::kPrefill ? "prefill" : "decode");
  object.Set("granularity", event.granularity == Granularity::kToken ? "token" : "block");
}

Napi::Value to_js(Napi::Env env, EvictEvent&& event) {
  Napi::Object object = event_object(env, "evict", event);
  set_what_goes(object, event);
  object.Set("shared", event.shared);
  if (event.kv_head) object.Set("kvHead", *event.kv_head);
  if (event.logical_index) object.Set("logicalIndex", *event.logical_index);
  if (event.block_id) object.Set("blockId", *event.block_id);
  if (event.slot_index) object.Set("slotIndex", *event.slot_index);
  object.Set("positions", to_typed_array(env, std::move(event.positions)));
  object.Set("score", event.score);
  object.Set("runnerUpScore", event.runner_up_score);
  object.Set("candidates", to_typed_array(env, std::move(event.candidates)));
  object.Set("candidateScores", to_typed_array(env, std::move(event.candidate_scores)));
  return object;
}

Napi::Value to_js(Napi::Env env, BlockFullEvent&& event) {
  Napi::Object object = event_object(env, "block-full", event);
  object.Set("logicalIndex", event.logical_index);
  object.Set("blockId", event.block_id);
  return object;
}

Napi::Value to_js(Napi::Env env, LayerEvent&& event) { return event_object(env, "layer", event); }

Napi::Value to_js(Napi::Env env, NanEvent&& event) {
  Napi::Object object = event_object(env, "nan", event);
  object.Set("tensor", event.in_key ? "key" : "value");
  object.Set("position", static_cast<double>(event.position));
  object.Set("kvHead", event.kv_head);
  return object;
}

Napi::Value to_js(Napi::Env env, ScoreEvent&& event) {
  Napi::Object object = event_object(env, "score", event);
  set_what_goes(object, event);
  object.Set("candidates", to_typed_array(env, std::move(event.candidates)));
  return object;
}

const char* reason_name(StopReason reason) {
  switch (reason) {
    case StopReason::kSteps:
      return "steps";
    case StopReason::kEndToken:
      return "end-token";
    case StopReason::kEvent:
      return "event";
    case StopReason::kCancelled:
      break;
  }
  return "cancelled";
}

const char* reason_name(BatchReason reason) {
  switch (reason) {
    case BatchReason::kSteps:
      return "steps";
    case BatchReason::kDone:
      return "done";
    case BatchReason::kIdle:
      return "idle";
    case BatchReason::kEvent:
      return "event";
    case BatchReason::kCancelled:
      break;
  }
  return "cancelled";
}

Napi::Object to_js(Napi::Env env, Event&& event) {
  return std::visit([&](auto&& one) { return to_js(env, std::move(one)); }, std::move(event)).ToObject();
}

}  // namespace

Napi::Object to_js(Napi::Env env, AdvanceResult&& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("reason", reason_name(result.reason));
  object.Set("numSteps", static_cast<double>(result.num_steps));
  if (result.token) object.Set("token", *result.token);
  if (result.event) object.Set("event", to_js(env, std::move(*result.event)));
  return object;
}

Napi::Object to_js(Napi::Env env, BatchResult&& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("reason", reason_name(result.reason));
  object.Set("numSteps", static_cast<double>(result.num_steps));
  if (result.reason == BatchReason::kIdle) object.Set("waitUs", result.wait_us);
  if (result.event) {
    object.Set("sequence", static_cast<double>(result.sequence_id));
    object.Set("event", to_js(env, std::move(*result.event)));
  }
  return object;
}

Napi::Object to_js(Napi::Env env, LayerState&& state) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("blockIds", to_typed_array(env, std::move(state.block_ids)));
  object.Set("filled", to_typed_array(env, std::move(state.filled)));
  object.Set("deadSlots", to_typed_array(env, std::move(state.dead_slots)));
  object.Set("scores", to_typed_array(env, std::move(state.scores)));
  object.Set("refCounts", to_typed_array(env, std::move(state.ref_counts)));
  object.Set("kvLen", static_cast<double>(state.kv_len));
  object.Set("numFreeBlocks", state.num_free_blocks);
  object.Set("numParkedBlocks", state.num_parked_blocks);
  return object;
}

Napi::Object to_js(Napi::Env env, ScoringInputs&& inputs) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("numKvHeads", inputs.num_kv_heads);
  object.Set("headDim", inputs.head_dim);
  object.Set("slots", to_typed_array(env, std::move(inputs.slots)));
  object.Set("keys", to_typed_array(env, std::move(inputs.keys)));
  object.Set("values", to_typed_array(env, std::move(inputs.values)));
  object.Set("keyNorms", to_typed_array(env, std::move(inputs.key_norms)));
  object.Set("valueNorms", to_typed_array(env, std::move(inputs.value_norms)));
  object.Set("attentionMass", to_typed_array(env, std::move(inputs.attention_mass)));
  object.Set("lastQuery", to_typed_array(env, std::move(inputs.last_query)));
  return object;
}

}  // namespace octavo::binding
