// Arguments are read before the model is asked for: a getter among them may have disposed it.
#include "binding/model_wrap.h"

#include <utility>
#include <vector>

#include "binding/addon_data.h"
#include "binding/arguments.h"
#include "binding/batch_wrap.h"
#include "binding/guard.h"
#include "binding/session_wrap.h"
#include "binding/specs.h"
#include "binding/wrapped.h"

namespace octavo::binding {

Napi::Function ModelWrap::define(Napi::Env env) {
  const std::vector<PropertyDescriptor> properties = {
      getter<ModelWrap, &ModelWrap::num_parameters>("numParameters"),
      getter<ModelWrap, &ModelWrap::size_bytes>("sizeBytes"),
      method<ModelWrap, &ModelWrap::weight_names>("weightNames"),
      method<ModelWrap, &ModelWrap::weight>("weight"),
      method<ModelWrap, &ModelWrap::weights_check>("weightsCheck"),
      method<ModelWrap, &ModelWrap::create_session>("createSession"),
      method<ModelWrap, &ModelWrap::create_batch>("createBatch"),
      method<ModelWrap, &ModelWrap::dispose>("dispose"),
  };
  return DefineClass(env, kClassName, properties);
}

Napi::Value ModelWrap::create(Napi::Env env, std::shared_ptr<const LlamaModel> model) {
  auto* data = env.GetInstanceData<AddonData>();
  data->new_model = std::move(model);
  return data->model_class.New({});
}

ModelWrap::ModelWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ModelWrap>(info) {
  model_ = std::exchange(info.Env().GetInstanceData<AddonData>()->new_model, nullptr);
  if (!model_) throw Napi::TypeError::New(info.Env(), "Models are made by openModel and randomModel");
  info.This().As<Napi::Object>().TypeTag(&kTypeTag);
}

const std::shared_ptr<const LlamaModel>& ModelWrap::open_model() const {
  if (!model_) throw Error("ERR_OCTAVO_CLOSED", "Expected an open model but it was disposed");
  return model_;
}

Napi::Value ModelWrap::num_parameters(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(open_model()->num_parameters()));
}

Napi::Value ModelWrap::size_bytes(const Napi::CallbackInfo& info) {
  double total = 0;
  for (const auto& [name, tensor] : open_model()->weights())
    total += static_cast<double>(tensor.size_bytes());
  return Napi::Number::New(info.Env(), total);
}

Napi::Value ModelWrap::weight_names(const Napi::CallbackInfo& info) {
  const auto& weights = open_model()->weights();
  Napi::Array names = Napi::Array::New(info.Env(), weights.size());
  for (size_t index = 0; index < weights.size(); ++index) {
    names.Set(static_cast<uint32_t>(index), weights[index].first);
  }
  return names;
}

Napi::Value ModelWrap::weight(const Napi::CallbackInfo& info) {
  const std::string name = to_text(info[0], "name");
  for (const auto& [weight_name, tensor] : open_model()->weights()) {
    if (weight_name == name) return views_.view(info.Env(), tensor);
  }
  fail_argument("the name of a weight", "name", info[0]);
}

Napi::Value ModelWrap::weights_check(const Napi::CallbackInfo& info) {
  const auto check = [model = open_model()](const Napi::CallbackInfo& call) {
    try {
      model->require_unchanged();
    } catch (...) {
      throw to_js_error(call.Env(), std::current_exception());
    }
  };
  return Napi::Function::New(info.Env(), check, "checkWeights");
}

Napi::Value ModelWrap::create_session(const Napi::CallbackInfo& info) {
  const SessionConfig config = to_session_config(info[0]);
  return SessionWrap::create(info.Env(), std::make_shared<Session>(open_model(), config));
}

Napi::Value ModelWrap::create_batch(const Napi::CallbackInfo& info) {
  const BatchConfig config = to_batch_config(info[0]);
  return BatchWrap::create(info.Env(), std::make_shared<Batch>(open_model(), config));
}

Napi::Value ModelWrap::dispose(const Napi::CallbackInfo& info) {
  model_.reset();
  return info.Env().Undefined();
}

}  // namespace octavo::binding
