// The CUDA surface, with the runtime linked statically so that the addon loads on a machine with no driver.
#include <cuda_runtime.h>

#include "core/cuda.h"

namespace octavo {

CudaInfo cuda_info() {
  int num_devices = 0;  // left untouched by the call below when the driver is missing or too old (error 35)
  if (cudaGetDeviceCount(&num_devices) != cudaSuccess) {
    cudaGetLastError();
    num_devices = 0;
  }
  return {true, num_devices};
}

}  // namespace octavo
