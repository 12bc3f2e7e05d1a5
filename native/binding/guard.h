// The one place where C++ exceptions become JavaScript errors with a `code`; nothing may leave the addon
// otherwise.
#pragma once

#include <napi.h>

#include <exception>

namespace octavo::binding {

// An Error with `code`: that of octavo::Error, ERR_OCTAVO_MEMORY for bad_alloc, ERR_OCTAVO_INTERNAL for the
// rest.
Napi::Error to_js_error(napi_env env, const std::exception_ptr& exception);

// Runs body, which gives a Napi::Value; throws into JavaScript what it throws.
template <typename Body>
napi_value guarded(napi_env env, Body&& body) {
  try {
    return body();
  } catch (const Napi::Error& error) {
    error.ThrowAsJavaScriptException();
  } catch (...) {
    to_js_error(env, std::current_exception()).ThrowAsJavaScriptException();
  }
  return nullptr;
}

// A plain function as a property of the exports.
template <Napi::Value (*kFunction)(const Napi::CallbackInfo&)>
napi_value call_function(napi_env env, napi_callback_info raw) {
  return guarded(env, [&]() -> napi_value {
    const Napi::CallbackInfo info(env, raw);
    return kFunction(info);
  });
}

}  // namespace octavo::binding
