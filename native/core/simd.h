// How an op reaches the kernels compiled for this machine. A file X_simd.cpp is compiled once an instruction
// set, into the namespace of that name, and offers one table of functions; it must not use inline functions
// of other headers, since the linker could keep the copy that was compiled with instructions this machine
// lacks.
#pragma once

#include "core/cpu_info.h"

#if defined(__x86_64__)
// In namespace octavo, at file scope of the kernels' header: `const Kernels& function();` for each
// instruction set.
#define OCTAVO_DECLARE_SIMD(Kernels, function) \
  namespace portable {                         \
  const Kernels& function();                   \
  }                                            \
  namespace avx2 {                             \
  const Kernels& function();                   \
  }                                            \
  namespace avx512 {                           \
  const Kernels& function();                   \
  }                                            \
  static_assert(true)

// The table for the level in force.
#define OCTAVO_PICK_SIMD(function)                                                       \
  (::octavo::simd_level() == ::octavo::SimdLevel::kAvx512 ? ::octavo::avx512::function() \
   : ::octavo::simd_level() == ::octavo::SimdLevel::kAvx2 ? ::octavo::avx2::function()   \
                                                          : ::octavo::portable::function())
#else
#define OCTAVO_DECLARE_SIMD(Kernels, function) \
  namespace portable {                         \
  const Kernels& function();                   \
  }                                            \
  static_assert(true)
#define OCTAVO_PICK_SIMD(function) (::octavo::portable::function())
#endif
