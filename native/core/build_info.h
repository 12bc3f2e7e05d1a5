// What this build is made of, for the user to see.
#pragma once

namespace octavo {

const char* engine_version();  // "0.1.0"
const char* gemm_library();    // "onednn" or "plain"

}  // namespace octavo
