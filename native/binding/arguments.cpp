// Numbers are taken as JavaScript numbers only: no coercion, so that no valueOf runs and "16" is a mistake.
#include "binding/arguments.h"

#include <cmath>

#include "core/check.h"

namespace octavo::binding {

namespace {

constexpr uint32_t kMaxListLength = 1U << 20;

std::string quoted(const std::string& text) {
  constexpr size_t kShown = 60;
  return "\"" + (text.size() > kShown ? text.substr(0, kShown) + "…" : text) + "\"";
}

}  // namespace

void fail_argument(const std::string& expected, const std::string& name, const Napi::Value& value) {
  throw Error("ERR_OCTAVO_ARGUMENT",
              "Expected " + expected + " for " + name + " but received " + received(value));
}

std::string received(const Napi::Value& value) {
  switch (value.Type()) {
    case napi_undefined:
      return "undefined";
    case napi_null:
      return "null";
    case napi_boolean:
      return value.As<Napi::Boolean>().Value() ? "true" : "false";
    case napi_number:
      return value.ToString().Utf8Value();
    case napi_string:
      return quoted(value.As<Napi::String>().Utf8Value());
    case napi_symbol:
      return "a symbol";
    case napi_function:
      return "a function";
    case napi_bigint:
      return "a bigint";
    default:
      if (value.IsArray()) return "an array of length " + std::to_string(value.As<Napi::Array>().Length());
      return "an object";
  }
}

int64_t to_integer(const Napi::Value& value, const std::string& name, int64_t min, int64_t max) {
  if (value.IsNumber()) {
    const double number = value.As<Napi::Number>().DoubleValue();
    if (std::trunc(number) == number && number >= static_cast<double>(min) &&
        number <= static_cast<double>(max)) {
      return static_cast<int64_t>(number);
    }
  }
  fail_argument("an integer from " + std::to_string(min) + " to " + std::to_string(max), name, value);
}

std::vector<int32_t> to_int32s(const Napi::Value& value, const std::string& name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
    fail_argument("an Int32Array", name, value);
  }
  const auto array = value.As<Napi::Int32Array>();
  const int32_t* data = array.Data();
  if (data == nullptr) return {};  // empty, or its buffer is detached
  return {data, data + array.ElementLength()};
}

std::vector<float> to_float32s(const Napi::Value& value, const std::string& name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array) {
    fail_argument("a Float32Array", name, value);
  }
  const auto array = value.As<Napi::Float32Array>();
  const float* data = array.Data();
  if (data == nullptr) return {};  // empty, or its buffer is detached
  return {data, data + array.ElementLength()};
}

std::string to_text(const Napi::Value& value, const std::string& name) {
  if (!value.IsString()) fail_argument("a string", name, value);
  return value.As<Napi::String>().Utf8Value();
}

Fields::Fields(const Napi::Value& value, std::string name) : name_(std::move(name)) {
  if (!value.IsObject() || value.IsFunction()) fail_argument("an object", name_, value);
  object_ = value.As<Napi::Object>();
}

Napi::Value Fields::value(const char* field) const { return object_.Get(field); }

int64_t Fields::integer(const char* field, int64_t min, int64_t max) const {
  return to_integer(value(field), path(field), min, max);
}

int Fields::integer32(const char* field, int64_t min, int64_t max) const {
  return static_cast<int>(integer(field, min, max));
}

double Fields::number(const char* field) const {
  const Napi::Value number = value(field);
  if (!number.IsNumber()) fail_argument("a number", path(field), number);
  return number.As<Napi::Number>().DoubleValue();
}

bool Fields::boolean(const char* field, std::optional<bool> fallback) const {
  const Napi::Value boolean = value(field);
  if (boolean.IsUndefined() && fallback) return *fallback;
  if (!boolean.IsBoolean()) fail_argument("a boolean", path(field), boolean);
  return boolean.As<Napi::Boolean>().Value();
}

std::string Fields::text(const char* field) const { return to_text(value(field), path(field)); }

std::vector<int32_t> Fields::int32s(const char* field) const { return to_int32s(value(field), path(field)); }

std::vector<Napi::Value> Fields::list(const char* field) const {
  const Napi::Value list = value(field);
  if (!list.IsArray()) fail_argument("an array", path(field), list);
  const auto array = list.As<Napi::Array>();
  const uint32_t length = array.Length();
  if (length > kMaxListLength) fail_argument("at most 1048576 elements", path(field), list);
  std::vector<Napi::Value> elements;
  for (uint32_t index = 0; index < length; ++index) elements.push_back(array.Get(index));
  return elements;
}

}  // namespace octavo::binding
