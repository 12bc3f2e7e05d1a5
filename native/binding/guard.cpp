// length_error counts as memory: a container was asked for more than can exist.
#include "binding/guard.h"

#include <new>
#include <stdexcept>
#include <string>

#include "core/check.h"

namespace octavo::binding {

namespace {

Napi::Error with_code(napi_env env, const std::string& code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

}  // namespace

Napi::Error to_js_error(napi_env env, const std::exception_ptr& exception) {
  const std::string no_memory = "The system has not enough memory for this call";
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return with_code(env, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return with_code(env, "ERR_OCTAVO_MEMORY", no_memory);
  } catch (const std::length_error&) {
    return with_code(env, "ERR_OCTAVO_MEMORY", no_memory);
  } catch (const std::exception& error) {
    return with_code(env, "ERR_OCTAVO_INTERNAL", error.what());
  } catch (...) {
    return with_code(env, "ERR_OCTAVO_INTERNAL", "An unknown exception left the engine");
  }
}

}  // namespace octavo::binding
