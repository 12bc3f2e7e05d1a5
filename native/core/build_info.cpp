// What this build is made of.
#include "core/build_info.h"

namespace octavo {

const char* engine_version() { return "0.1.0"; }

const char* gemm_library() {
#ifdef OCTAVO_ONEDNN
  return "onednn";
#else
  return "plain";
#endif
}

}  // namespace octavo
