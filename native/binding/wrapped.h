// Classes whose methods check their receiver. node-addon-api casts `this` unseen, so a model's method called
// on a session would run on the wrong memory: here every method asks for the type tag first.
#pragma once

#include <napi.h>

#include <string>

#include "binding/guard.h"
#include "core/check.h"

namespace octavo::binding {

// T has static constexpr napi_type_tag kTypeTag and const char* kClassName, and tags `this` in its
// constructor.
template <typename T>
T& receiver_of(const Napi::CallbackInfo& info) {
  const Napi::Value receiver = info.This();
  if (receiver.IsObject() && receiver.As<Napi::Object>().CheckTypeTag(&T::kTypeTag)) {
    void* wrapped = nullptr;
    if (napi_unwrap(info.Env(), receiver, &wrapped) == napi_ok && wrapped != nullptr) {
      return *static_cast<T*>(wrapped);
    }
  }
  throw Error("ERR_OCTAVO_ARGUMENT",
              std::string("Expected a ") + T::kClassName + " as receiver of its method");
}

template <typename T, Napi::Value (T::*kMethod)(const Napi::CallbackInfo&)>
napi_value call_method(napi_env env, napi_callback_info raw) {
  return guarded(env, [&]() -> napi_value {
    const Napi::CallbackInfo info(env, raw);
    return (receiver_of<T>(info).*kMethod)(info);
  });
}

template <typename T, Napi::Value (T::*kMethod)(const Napi::CallbackInfo&)>
Napi::ClassPropertyDescriptor<T> method(const char* name) {
  napi_property_descriptor descriptor{};
  descriptor.utf8name = name;
  descriptor.method = &call_method<T, kMethod>;
  descriptor.attributes = napi_default_method;
  return descriptor;
}

template <typename T, Napi::Value (T::*kGetter)(const Napi::CallbackInfo&)>
Napi::ClassPropertyDescriptor<T> getter(const char* name) {
  napi_property_descriptor descriptor{};
  descriptor.utf8name = name;
  descriptor.getter = &call_method<T, kGetter>;
  descriptor.attributes = napi_configurable;
  return descriptor;
}

}  // namespace octavo::binding
