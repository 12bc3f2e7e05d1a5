// Matrix products while signals arrive: what an interrupted cell or a profiler does to the thread that
// multiplies.
#include <sys/time.h>

#include <atomic>
#include <csignal>

#include "core/tensor.h"
#include "ops/gemm.h"
#include "test.h"

using namespace octavo;
using namespace octavo::test;

namespace {

std::atomic<int> num_signals = 0;  // the pool's threads take signals too

// Dirties the stack below the frame it interrupts, as any real handler does.
void count_signal(int) {
  volatile char junk[4096];
  for (volatile char& byte : junk) byte = static_cast<char>(0xCC);
  ++num_signals;
}

}  // namespace

TEST("products are right and the heap whole while signals arrive") {
  struct sigaction action = {}, before = {};
  action.sa_handler = count_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, &before);
  const itimerval every_100_us = {{0, 100}, {0, 100}}, never = {};
  setitimer(ITIMER_REAL, &every_100_us, nullptr);
  for (int repeat = 0; repeat < 10; ++repeat) {
    for (const int64_t rows : {2, 5, 37, 100, 128, 300}) {
      for (const int64_t out : {64, 256}) {
        for (const int64_t in : {128, 256}) {
          Tensor weight = Tensor::zeros(DType::kF32, {out, in});
          for (int64_t i = 0; i < out * in; ++i) weight.f32()[i] = static_cast<float>(i % 3);
          std::vector<float> input(static_cast<size_t>(rows * in), 0.5f);
          std::vector<float> output(static_cast<size_t>(rows * out), -1.0f);
          gemm_cpu(input.data(), weight, rows, output.data());
          for (int64_t i = 0; i < rows * out; ++i) {
            float expected = 0;
            for (int64_t k = 0; k < in; ++k) expected += 0.5f * static_cast<float>((i % out * in + k) % 3);
            REQUIRE(std::fabs(output[static_cast<size_t>(i)] - expected) < 1e-3);
          }
        }
      }
    }
  }
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  std::printf("%d signals\n", num_signals.load());
  REQUIRE(num_signals > 20);
}
