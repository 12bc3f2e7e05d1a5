// Arguments are read before the batch is asked for: a getter among them may have disposed it or set it to
// work.
#include "binding/batch_wrap.h"

#include <optional>
#include <utility>
#include <vector>

#include "binding/addon_data.h"
#include "binding/advance_worker.h"
#include "binding/arguments.h"
#include "binding/results.h"
#include "binding/session_wrap.h"
#include "binding/specs.h"
#include "binding/views.h"
#include "binding/wrapped.h"

namespace octavo::binding {

Napi::Function BatchWrap::define(Napi::Env env) {
  const std::vector<PropertyDescriptor> properties = {
      method<BatchWrap, &BatchWrap::add>("add"),
      method<BatchWrap, &BatchWrap::take_snapshot>("takeSnapshot"),
      method<BatchWrap, &BatchWrap::rewind>("rewind"),
      method<BatchWrap, &BatchWrap::fork>("fork"),
      method<BatchWrap, &BatchWrap::cancel>("cancel"),
      method<BatchWrap, &BatchWrap::advance>("advance"),
      method<BatchWrap, &BatchWrap::advance_async>("advanceAsync"),
      method<BatchWrap, &BatchWrap::stop>("stop"),
      getter<BatchWrap, &BatchWrap::busy>("busy"),
      method<BatchWrap, &BatchWrap::requests>("requests"),
      method<BatchWrap, &BatchWrap::take_steps>("takeSteps"),
      method<BatchWrap, &BatchWrap::failure>("failure"),
      method<BatchWrap, &BatchWrap::dispose>("dispose"),
  };
  return DefineClass(env, kClassName, properties);
}

Napi::Value BatchWrap::create(Napi::Env env, std::shared_ptr<Batch> batch) {
  auto* data = env.GetInstanceData<AddonData>();
  data->new_batch = std::move(batch);
  return data->batch_class.New({});
}

BatchWrap::BatchWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<BatchWrap>(info) {
  batch_ = std::exchange(info.Env().GetInstanceData<AddonData>()->new_batch, nullptr);
  if (!batch_) throw Napi::TypeError::New(info.Env(), "Batches are made by a model's createBatch");
  info.This().As<Napi::Object>().TypeTag(&kTypeTag);
  external_bytes_ = batch_->pool_bytes();
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), external_bytes_);
}

BatchWrap::~BatchWrap() { release(Env()); }

void BatchWrap::release(Napi::BasicEnv env) {
  if (!batch_) return;
  batch_.reset();
  Napi::MemoryManagement::AdjustExternalMemory(env, -external_bytes_);
}

void BatchWrap::end_async() {
  *busy_ = false;
  if (closed_) release(Env());
}

Batch& BatchWrap::open_batch() const {
  if (closed_) throw Error("ERR_OCTAVO_CLOSED", "Expected an open batch but it was disposed");
  return *batch_;
}

Batch& BatchWrap::idle_batch() const {
  Batch& batch = open_batch();
  if (*busy_) {
    throw Error("ERR_OCTAVO_BUSY", "Expected an idle batch but advanceAsync is under way; await it first");
  }
  return batch;
}

Napi::Value BatchWrap::add(const Napi::CallbackInfo& info) {
  BatchRequest request = to_batch_request(info[0]);
  return to_sequence(info.Env(), open_batch().add(std::move(request)));
}

Napi::Value BatchWrap::to_sequence(Napi::Env env, Batch::Added added) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("id", static_cast<double>(added.id));
  object.Set("session", SessionWrap::create(env, std::move(added.session), busy_));
  return object;
}

Napi::Value BatchWrap::take_snapshot(const Napi::CallbackInfo& info) {
  const int64_t id = to_integer(info[0], "id", 0, kMaxSafeInteger);
  return Napi::Number::New(info.Env(), static_cast<double>(idle_batch().take_snapshot(id)));
}

Napi::Value BatchWrap::rewind(const Napi::CallbackInfo& info) {
  const int64_t id = to_integer(info[0], "id", 0, kMaxSafeInteger);
  const RewindTarget target = to_rewind_target(info[1]);
  const int64_t next_step_index = target.snapshot ? idle_batch().rewind_to_snapshot(id, *target.snapshot)
                                                  : idle_batch().rewind(id, target.unit, target.count);
  return Napi::Number::New(info.Env(), static_cast<double>(next_step_index));
}

Napi::Value BatchWrap::fork(const Napi::CallbackInfo& info) {
  const int64_t id = to_integer(info[0], "id", 0, kMaxSafeInteger);
  const BatchFork changes = to_batch_fork(info[1], idle_batch().seed_of(id));
  return to_sequence(info.Env(), idle_batch().fork(id, changes));
}

Napi::Value BatchWrap::cancel(const Napi::CallbackInfo& info) {
  const int64_t id = to_integer(info[0], "id", 0, kMaxSafeInteger);
  open_batch().cancel(id);
  return info.Env().Undefined();
}

Napi::Value BatchWrap::advance(const Napi::CallbackInfo& info) {
  const BatchAdvance request = to_batch_advance(info[0]);
  Batch& batch = idle_batch();
  cancelled_->store(false);
  return to_js(info.Env(), batch.advance(request, *cancelled_));
}

Napi::Value BatchWrap::advance_async(const Napi::CallbackInfo& info) {
  BatchAdvance request = to_batch_advance(info[0]);
  idle_batch();
  cancelled_->store(false);
  const Napi::Promise promise = AdvanceWorker<BatchWrap, Batch, BatchAdvance>::start(
      "octavo.batch", *this, batch_, std::move(request), cancelled_);
  *busy_ = true;
  return promise;
}

Napi::Value BatchWrap::stop(const Napi::CallbackInfo& info) {
  open_batch();
  cancelled_->store(true);
  return info.Env().Undefined();
}

Napi::Value BatchWrap::busy(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), *busy_); }

Napi::Value BatchWrap::requests(const Napi::CallbackInfo& info) {
  return to_js(info.Env(), idle_batch().requests());
}

Napi::Value BatchWrap::take_steps(const Napi::CallbackInfo& info) {
  return to_js(info.Env(), idle_batch().take_steps());
}

Napi::Value BatchWrap::failure(const Napi::CallbackInfo& info) {
  const int64_t id = to_integer(info[0], "id", 0, kMaxSafeInteger);
  const std::optional<SequenceFailure> failure = idle_batch().failure(id);
  if (!failure) return info.Env().Undefined();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("code", failure->code);
  object.Set("message", failure->message);
  return object;
}

Napi::Value BatchWrap::dispose(const Napi::CallbackInfo& info) {
  closed_ = true;
  cancelled_->store(true);
  if (!*busy_) release(info.Env());
  return info.Env().Undefined();
}

}  // namespace octavo::binding
