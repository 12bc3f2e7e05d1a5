// Arguments are read before the session is asked for: a getter among them may have disposed it or set it to
// work.
#include "binding/session_wrap.h"

#include <limits>
#include <utility>
#include <vector>

#include "binding/addon_data.h"
#include "binding/advance_worker.h"
#include "binding/arguments.h"
#include "binding/results.h"
#include "binding/specs.h"
#include "binding/wrapped.h"

namespace octavo::binding {

Napi::Function SessionWrap::define(Napi::Env env) {
  const std::vector<PropertyDescriptor> properties = {
      method<SessionWrap, &SessionWrap::prefill>("prefill"),
      method<SessionWrap, &SessionWrap::advance>("advance"),
      method<SessionWrap, &SessionWrap::advance_async>("advanceAsync"),
      method<SessionWrap, &SessionWrap::cancel>("cancel"),
      getter<SessionWrap, &SessionWrap::num_tokens>("numTokens"),
      getter<SessionWrap, &SessionWrap::busy>("busy"),
      getter<SessionWrap, &SessionWrap::inside_step>("insideStep"),
      method<SessionWrap, &SessionWrap::tokens>("tokens"),
      method<SessionWrap, &SessionWrap::logits>("logits"),
      method<SessionWrap, &SessionWrap::layer_cache>("layerCache"),
      method<SessionWrap, &SessionWrap::layer_state>("layerState"),
      method<SessionWrap, &SessionWrap::take_trace>("takeTrace"),
      method<SessionWrap, &SessionWrap::step_rows>("stepRows"),
      method<SessionWrap, &SessionWrap::take_snapshot>("takeSnapshot"),
      method<SessionWrap, &SessionWrap::drop_snapshot>("dropSnapshot"),
      method<SessionWrap, &SessionWrap::rewind>("rewind"),
      method<SessionWrap, &SessionWrap::rewind_points>("rewindPoints"),
      method<SessionWrap, &SessionWrap::fork>("fork"),
      method<SessionWrap, &SessionWrap::attention_pattern>("attentionPattern"),
      method<SessionWrap, &SessionWrap::scoring_inputs>("scoringInputs"),
      method<SessionWrap, &SessionWrap::dispose>("dispose"),
  };
  return DefineClass(env, kClassName, properties);
}

Napi::Value SessionWrap::create(Napi::Env env, std::shared_ptr<Session> session,
                                std::shared_ptr<const bool> batch_busy) {
  auto* data = env.GetInstanceData<AddonData>();
  data->new_session = std::move(session);
  data->new_session_batch = std::move(batch_busy);
  return data->session_class.New({});
}

SessionWrap::SessionWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SessionWrap>(info) {
  session_ = std::exchange(info.Env().GetInstanceData<AddonData>()->new_session, nullptr);
  if (!session_) throw Napi::TypeError::New(info.Env(), "Sessions are made by a model's createSession");
  info.This().As<Napi::Object>().TypeTag(&kTypeTag);
  batch_busy_ = std::exchange(info.Env().GetInstanceData<AddonData>()->new_session_batch, nullptr);
  if (batch_busy_) return;  // the pools are the batch's
  for (int layer = 0; layer < session_->model_config().num_layers; ++layer) {
    const KvCache& cache = session_->layer_cache(layer);
    external_bytes_ += static_cast<int64_t>(cache.keys().size_bytes() + cache.values().size_bytes());
  }
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), external_bytes_);
}

SessionWrap::~SessionWrap() { release(Env()); }

void SessionWrap::release(Napi::BasicEnv env) {
  if (!session_) return;
  session_.reset();
  Napi::MemoryManagement::AdjustExternalMemory(env, -external_bytes_);
}

void SessionWrap::end_async() {
  busy_ = false;
  if (closed_) release(Env());
}

Session& SessionWrap::open_session() const {
  if (closed_) throw Error("ERR_OCTAVO_CLOSED", "Expected an open session but it was disposed");
  return *session_;
}

Session& SessionWrap::idle_session() const {
  Session& session = open_session();
  if (busy_) {
    throw Error("ERR_OCTAVO_BUSY", "Expected an idle session but advanceAsync is under way; await it first");
  }
  if (batch_busy_ && *batch_busy_) {
    throw Error("ERR_OCTAVO_BUSY",
                "Expected an idle batch but its advanceAsync is under way; await it first");
  }
  return session;
}

Session& SessionWrap::own_session() const {
  Session& session = idle_session();
  if (batch_busy_) {
    throw Error("ERR_OCTAVO_BATCH", "Expected a session of its own but this is a sequence of a batch");
  }
  return session;
}

Napi::Value SessionWrap::prefill(const Napi::CallbackInfo& info) {
  std::vector<int32_t> tokens = to_int32s(info[0], "tokens");
  own_session().prefill(std::move(tokens));
  return info.Env().Undefined();
}

Napi::Value SessionWrap::advance(const Napi::CallbackInfo& info) {
  const AdvanceRequest request = to_advance_request(info[0]);
  Session& session = own_session();
  cancelled_->store(false);
  return to_js(info.Env(), session.advance(request, *cancelled_));
}

Napi::Value SessionWrap::advance_async(const Napi::CallbackInfo& info) {
  if (!info[0].IsUndefined()) {
    asked_ = to_advance_request(info[0]);
  } else if (!asked_) {
    fail_argument("an object where there is nothing to repeat", "request", info[0]);
  }
  AdvanceRequest request = *asked_;
  if (!request.forced_tokens.empty() || request.decision) asked_.reset();
  own_session();
  cancelled_->store(false);
  const Napi::Promise promise = AdvanceWorker<SessionWrap, Session, AdvanceRequest>::start(
      "octavo.advance", *this, session_, std::move(request), cancelled_);
  busy_ = true;
  return promise;
}

Napi::Value SessionWrap::cancel(const Napi::CallbackInfo& info) {
  open_session();
  cancelled_->store(true);
  return info.Env().Undefined();
}

Napi::Value SessionWrap::num_tokens(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(open_session().num_tokens()));
}

Napi::Value SessionWrap::busy(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), busy_ || (batch_busy_ && *batch_busy_));
}

Napi::Value SessionWrap::inside_step(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), idle_session().is_inside_step());
}

Napi::Value SessionWrap::tokens(const Napi::CallbackInfo& info) {
  return to_typed_array(info.Env(), std::vector<int32_t>(idle_session().tokens()));
}

Napi::Value SessionWrap::logits(const Napi::CallbackInfo& info) {
  return views_.view(info.Env(), idle_session().logits());
}

Napi::Value SessionWrap::layer_cache(const Napi::CallbackInfo& info) {
  const int64_t layer = to_integer(info[0], "layer", 0, kMaxSafeInteger);
  const KvCache& cache = idle_session().layer_cache(layer);
  Napi::Object views = Napi::Object::New(info.Env());
  views.Set("keys", views_.view(info.Env(), cache.keys()));
  views.Set("values", views_.view(info.Env(), cache.values()));
  views.Set("positions", views_.view(info.Env(), cache.positions()));
  return views;
}

Napi::Value SessionWrap::layer_state(const Napi::CallbackInfo& info) {
  const int64_t layer = to_integer(info[0], "layer", 0, kMaxSafeInteger);
  return to_js(info.Env(), idle_session().layer_state(layer));
}

Napi::Value SessionWrap::take_trace(const Napi::CallbackInfo& info) {
  return to_js(info.Env(), idle_session().take_trace());
}

Napi::Value SessionWrap::step_rows(const Napi::CallbackInfo& info) {
  const auto first_step =
      static_cast<int32_t>(to_integer(info[0], "firstStep", 0, std::numeric_limits<int32_t>::max()));
  return to_typed_array(info.Env(), idle_session().step_rows(first_step));
}

Napi::Value SessionWrap::take_snapshot(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(own_session().take_snapshot()));
}

Napi::Value SessionWrap::drop_snapshot(const Napi::CallbackInfo& info) {
  const int64_t id = to_integer(info[0], "id", 0, kMaxSafeInteger);
  idle_session().drop_snapshot(id);
  return info.Env().Undefined();
}

Napi::Value SessionWrap::rewind(const Napi::CallbackInfo& info) {
  const RewindTarget target = to_rewind_target(info[0]);
  Session& session = own_session();
  if (target.snapshot) {
    session.rewind_to_snapshot(*target.snapshot);
  } else {
    session.rewind(target.unit, target.count);
  }
  return Napi::Number::New(info.Env(), static_cast<double>(session.next_step_index()));
}

Napi::Value SessionWrap::rewind_points(const Napi::CallbackInfo& info) {
  return to_typed_array(info.Env(), idle_session().rewind_points());
}

Napi::Value SessionWrap::fork(const Napi::CallbackInfo& info) {
  const ForkConfig changes = to_fork_config(info[0], open_session().seed());
  return create(info.Env(), own_session().fork(changes));
}

Napi::Value SessionWrap::attention_pattern(const Napi::CallbackInfo& info) {
  const int64_t layer = to_integer(info[0], "layer", 0, kMaxSafeInteger);
  return to_typed_array(info.Env(), idle_session().attention_pattern(layer));
}

Napi::Value SessionWrap::scoring_inputs(const Napi::CallbackInfo& info) {
  const ScoringNeeds needs = to_scoring_needs(info[0]);
  return to_js(info.Env(), idle_session().scoring_inputs(needs));
}

Napi::Value SessionWrap::dispose(const Napi::CallbackInfo& info) {
  closed_ = true;
  cancelled_->store(true);
  if (!busy_) release(info.Env());
  return info.Env().Undefined();
}

}  // namespace octavo::binding
