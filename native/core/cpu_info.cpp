// Instruction sets by CPUID (with the operating system's support, which __builtin_cpu_supports checks) and
// cores by affinity and control group.
#include "core/cpu_info.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "core/check.h"

namespace octavo {

namespace {

SimdLevel detect() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512) return SimdLevel::kAvx512;
  if (avx2) return SimdLevel::kAvx2;
#endif
  return SimdLevel::kPortable;
}

SimdLevel initial_level() {
  const SimdLevel best = best_simd_level();
  const char* wanted = std::getenv("OCTAVO_SIMD");
  if (!wanted) return best;
  for (const SimdLevel level : {SimdLevel::kPortable, SimdLevel::kAvx2, SimdLevel::kAvx512})
    if (wanted == std::string(simd_level_name(level))) return std::min(level, best);
  return best;
}

std::atomic<SimdLevel>& current_level() {
  static std::atomic<SimdLevel> level{initial_level()};
  return level;
}

// Cores' worth of time the control group grants, or a large number without a limit.
double control_group_quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (file >> quota >> period && quota != "max" && period > 0)
    return std::strtod(quota.c_str(), nullptr) / period;
  return 1e9;
}

}  // namespace

const char* simd_level_name(SimdLevel level) {
  switch (level) {
    case SimdLevel::kAvx512:
      return "avx512";
    case SimdLevel::kAvx2:
      return "avx2";
    case SimdLevel::kPortable:
      break;
  }
  return "portable";
}

SimdLevel best_simd_level() {
  static const SimdLevel best = detect();
  return best;
}

SimdLevel simd_level() { return current_level().load(std::memory_order_relaxed); }

void set_simd_level(SimdLevel level) {
  if (level > best_simd_level())
    throw Error("ERR_OCTAVO_ARGUMENT", std::string("Expected an instruction set of this machine, at most ") +
                                           simd_level_name(best_simd_level()) + ", but received " +
                                           simd_level_name(level));
  current_level() = level;
}

int num_usable_cores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) cores = CPU_COUNT(&mask);
  return std::max(1, static_cast<int>(std::min<double>(cores, std::ceil(control_group_quota()))));
}

}  // namespace octavo
