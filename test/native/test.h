// A test program in one header: TEST bodies register themselves, `main` is here, REQUIRE throws on failure,
// and `compare` prints the worst absolute and relative error of every comparison, also when it passes.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/check.h"

namespace octavo::test {

struct Case {
  const char* name;
  void (*body)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> list;
  return list;
}

struct Registration {
  Registration(const char* name, void (*body)()) { cases().push_back({name, body}); }
};

class Failure : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] inline void fail(const char* file, int line, const std::string& what) {
  throw Failure(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

struct Difference {
  double max_absolute = 0;
  double relative_l2 =
      0;  // ‖actual - expected‖₂ / ‖expected‖₂; the numerator alone when expected is all zero
  int64_t worst_index = 0;
  bool comparable = true;  // false when a value is NaN or infinite on one side only
};

template <typename Actual, typename Expected>
Difference difference(const Actual* actual, const Expected* expected, int64_t count) {
  Difference result;
  double error_squared = 0, norm_squared = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double got = static_cast<double>(actual[i]), want = static_cast<double>(expected[i]);
    if (!std::isfinite(got) || !std::isfinite(want)) {
      result.comparable = false;
      result.worst_index = i;
      result.max_absolute = result.relative_l2 = INFINITY;
      return result;
    }
    const double error = std::fabs(got - want);
    if (error > result.max_absolute) result.max_absolute = error, result.worst_index = i;
    error_squared += error * error;
    norm_squared += want * want;
  }
  result.relative_l2 = norm_squared > 0 ? std::sqrt(error_squared / norm_squared) : std::sqrt(error_squared);
  return result;
}

// Throws ERR code of `body`, or "" when it returns.
inline std::string error_code(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code();
  }
  return "";
}

inline int run_all(int argc, char** argv) {
  int num_failed = 0, num_run = 0;
  for (const Case& test : cases()) {
    if (argc > 1 && !std::strstr(test.name, argv[1])) continue;
    ++num_run;
    try {
      test.body();
      std::printf("ok   %s\n", test.name);
    } catch (const std::exception& error) {
      ++num_failed;
      std::printf("FAIL %s\n     %s\n", test.name, error.what());
    }
    std::fflush(stdout);
  }
  std::printf("%d run, %d failed\n", num_run, num_failed);
  return num_failed > 0 || num_run == 0 ? 1 : 0;
}

}  // namespace octavo::test

#define OCTAVO_TEST_CONCAT_(a, b) a##b
#define OCTAVO_TEST_CONCAT(a, b) OCTAVO_TEST_CONCAT_(a, b)

// TEST("what must hold") { … }
#define TEST(title)                                                                           \
  static void OCTAVO_TEST_CONCAT(test_body_, __LINE__)();                                     \
  static const ::octavo::test::Registration OCTAVO_TEST_CONCAT(test_registration_, __LINE__)( \
      title, &OCTAVO_TEST_CONCAT(test_body_, __LINE__));                                      \
  static void OCTAVO_TEST_CONCAT(test_body_, __LINE__)()

#define REQUIRE(condition)                                                               \
  do {                                                                                   \
    if (!(condition)) ::octavo::test::fail(__FILE__, __LINE__, "required: " #condition); \
  } while (false)

#define REQUIRE_EQUAL(actual, expected)                                                        \
  do {                                                                                         \
    const auto octavo_actual = (actual);                                                       \
    const auto octavo_expected = (expected);                                                   \
    if (!(octavo_actual == octavo_expected))                                                   \
      ::octavo::test::fail(__FILE__, __LINE__,                                                 \
                           std::string(#actual " is ") + ::octavo::test::text(octavo_actual) + \
                               ", expected " + ::octavo::test::text(octavo_expected));         \
  } while (false)

// The body must throw octavo::Error with this code.
#define REQUIRE_ERROR(expected_code, ...) \
  REQUIRE_EQUAL(::octavo::test::error_code([&] { __VA_ARGS__; }), std::string(expected_code))

namespace octavo::test {

inline std::string text(const std::string& value) { return "\"" + value + "\""; }
inline std::string text(const char* value) { return std::string("\"") + value + "\""; }
template <typename Number>
std::string text(Number value) {
  return std::to_string(value);
}

// Prints both errors and requires them within the limits.
template <typename Actual, typename Expected>
void compare(const std::string& what, const Actual* actual, const Expected* expected, int64_t count,
             double max_relative_l2, double max_absolute) {
  const Difference found = difference(actual, expected, count);
  std::printf("     %-58s rel-L2 %.2e  max abs %.2e\n", what.c_str(), found.relative_l2, found.max_absolute);
  if (!found.comparable)
    throw Failure(what + ": a value is not finite at index " + std::to_string(found.worst_index));
  if (!(found.relative_l2 <= max_relative_l2) || !(found.max_absolute <= max_absolute))
    throw Failure(what + ": limits are rel-L2 " + std::to_string(max_relative_l2) + ", max abs " +
                  std::to_string(max_absolute) + "; worst at index " + std::to_string(found.worst_index));
}

}  // namespace octavo::test

int main(int argc, char** argv) { return ::octavo::test::run_all(argc, argv); }
