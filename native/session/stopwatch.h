// Adds the wall time of a scope to a total, in microseconds.
#pragma once

#include <chrono>

namespace octavo {

class Stopwatch {
 public:
  explicit Stopwatch(double& total_us) : total_us_(total_us), start_(std::chrono::steady_clock::now()) {}
  ~Stopwatch() {
    total_us_ += std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start_).count();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& total_us_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace octavo
