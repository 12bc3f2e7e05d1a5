// What the CPU can do and how many cores this process may use. The level is chosen at run time, so one binary
// runs on any machine of its architecture.
#pragma once

#include <string>

namespace octavo {

enum class SimdLevel { kPortable, kAvx2, kAvx512 };

const char* simd_level_name(SimdLevel level);  // "portable", "avx2", "avx512"

// The highest level of this machine.
SimdLevel best_simd_level();

// The level that CPU ops run with: the best, unless the environment variable OCTAVO_SIMD names a lower one.
SimdLevel simd_level();

// For tests. Throws ERR_OCTAVO_ARGUMENT above best_simd_level(). Not while an op runs.
void set_simd_level(SimdLevel level);

// Cores this process may run on: its affinity mask, and the control group's quota rounded up.
int num_usable_cores();

}  // namespace octavo
