// CUDA as the rest of the engine sees it. The same surface is compiled from cuda_runtime.cu (with nvcc) or
// from cuda_stub.cpp (without), so callers have no #ifdef.
#pragma once

namespace octavo {

struct CudaInfo {
  bool compiled;    // CUDA sources are part of this build
  int num_devices;  // devices that the driver reports; 0 without a driver
};

CudaInfo cuda_info();

}  // namespace octavo
