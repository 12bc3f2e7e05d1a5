// The CUDA surface of a build without nvcc.
#include "core/cuda.h"

namespace octavo {

CudaInfo cuda_info() { return {false, 0}; }

}  // namespace octavo
