// A view of a dense, row-major tensor and the owner that keeps its memory alive. Views are cheap to copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace octavo {

enum class DType { kF32, kBf16, kF16, kI32 };

size_t dtype_size_bytes(DType dtype);
const char* dtype_name(DType dtype);             // "f32", "bf16", "f16", "i32"
DType parse_dtype(const std::string& spelling);  // safetensors' spelling: "F32", "BF16", "F16", "I32"

// Who asks the system to back memory by huge pages, which are read faster: all of it at once, so that what is
// touched costs up to 2 MiB more, or its owner with use_huge_pages, as it fills up.
enum class HugePages { kAtOnce, kAsFilled };

struct Tensor {
  std::shared_ptr<void> memory;  // keeps `data` alive; may point to an arena larger than this tensor
  void* data = nullptr;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;

  int64_t num_elements() const;
  size_t size_bytes() const { return static_cast<size_t>(num_elements()) * dtype_size_bytes(dtype); }
  float* f32() const { return static_cast<float*>(data); }
  int32_t* i32() const { return static_cast<int32_t*>(data); }

  // Anonymous, zero-filled, 64-byte aligned memory that the system commits on first touch.
  static Tensor zeros(DType dtype, std::vector<int64_t> shape, HugePages huge_pages = HugePages::kAtOnce);

  // The huge pages that end behind one place in bytes, and not behind another: all of each has been written.
  // Contents stay; a system that has none, or no such call, leaves small ones.
  void use_huge_pages(size_t from_bytes, size_t to_bytes) const;
};

}  // namespace octavo
