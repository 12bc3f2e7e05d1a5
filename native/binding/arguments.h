// Reads arguments declaratively: each call names the field and what it may be, and throws ERR_OCTAVO_ARGUMENT
// with the field, what was expected and what came. Getters may run JavaScript, so state is looked at only
// after all reading.
#pragma once

#include <napi.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace octavo::binding {

[[noreturn]] void fail_argument(const std::string& expected, const std::string& name,
                                const Napi::Value& value);

// One value, short, on one line; runs no JavaScript.
std::string received(const Napi::Value& value);

int64_t to_integer(const Napi::Value& value, const std::string& name, int64_t min, int64_t max);
// A copy: a later getter could detach the buffer.
std::vector<int32_t> to_int32s(const Napi::Value& value, const std::string& name);
std::vector<float> to_float32s(const Napi::Value& value, const std::string& name);
std::string to_text(const Napi::Value& value, const std::string& name);

constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

// Fields of one object. A field that is absent or undefined takes its fallback, and is an error without one.
class Fields {
 public:
  Fields(const Napi::Value& value, std::string name);

  // undefined when absent
  Napi::Value value(const char* field) const;
  bool has(const char* field) const { return !value(field).IsUndefined(); }

  int64_t integer(const char* field, int64_t min, int64_t max) const;
  int integer32(const char* field, int64_t min, int64_t max) const;
  double number(const char* field) const;  // any, NaN and infinity too
  bool boolean(const char* field, std::optional<bool> fallback = std::nullopt) const;
  std::string text(const char* field) const;
  std::vector<int32_t> int32s(const char* field) const;
  // Elements of an array, at most 2^20.
  std::vector<Napi::Value> list(const char* field) const;
  Fields object(const char* field) const { return Fields(value(field), path(field)); }

  template <typename Enum>
  Enum choice(const char* field, std::initializer_list<std::pair<const char*, Enum>> choices,
              Enum fallback) const {
    const Napi::Value chosen = value(field);
    if (chosen.IsUndefined()) return fallback;
    std::string names;
    for (const auto& [name, meaning] : choices) {
      if (chosen.IsString() && chosen.As<Napi::String>().Utf8Value() == name) return meaning;
      names += (names.empty() ? "" : ", ") + std::string(name);
    }
    fail_argument("one of " + names, path(field), chosen);
  }

  std::string path(const char* field) const { return name_.empty() ? field : name_ + "." + field; }

 private:
  Napi::Object object_;
  std::string name_;
};

}  // namespace octavo::binding
