// NativeModel of the contract: a share of a model, which its sessions and views hold too.
#pragma once

#include <napi.h>

#include <memory>

#include "binding/views.h"
#include "model/llama.h"

namespace octavo::binding {

class ModelWrap : public Napi::ObjectWrap<ModelWrap> {
 public:
  static constexpr napi_type_tag kTypeTag = {0x8d1f5b7a3c604e21, 0xa94e0c6d72b1f835};
  static constexpr const char* kClassName = "NativeModel";

  static Napi::Function define(Napi::Env env);
  static Napi::Value create(Napi::Env env, std::shared_ptr<const LlamaModel> model);

  // For create only: JavaScript has nothing to give it.
  explicit ModelWrap(const Napi::CallbackInfo& info);

 private:
  Napi::Value num_parameters(const Napi::CallbackInfo& info);
  Napi::Value size_bytes(const Napi::CallbackInfo& info);
  Napi::Value weight_names(const Napi::CallbackInfo& info);
  Napi::Value weight(const Napi::CallbackInfo& info);
  Napi::Value weights_check(const Napi::CallbackInfo& info);
  Napi::Value create_session(const Napi::CallbackInfo& info);
  Napi::Value create_batch(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  // Throws ERR_OCTAVO_CLOSED after dispose.
  const std::shared_ptr<const LlamaModel>& open_model() const;

  std::shared_ptr<const LlamaModel> model_;
  TensorViews views_;
};

}  // namespace octavo::binding
