// Errors that reach the user: a code, what was expected and what came. Nothing in native/ exits or asserts on
// input.
#pragma once

#include <stdexcept>
#include <string>

namespace octavo {

// Thrown for bad input and exhausted resources; the binding turns it into a JavaScript Error with `code`.
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const noexcept { return code_; }

 private:
  std::string code_;  // "ERR_OCTAVO_…"
};

}  // namespace octavo
