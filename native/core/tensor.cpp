// Types of elements and anonymous memory. Pages are committed by the system on first touch, so an arena may
// be made far larger than what is used of it.
#include "core/tensor.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <new>

#include "core/check.h"

namespace octavo {

namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;
constexpr int kCollapse = 25;  // MADV_COLLAPSE of Linux 6.1, which headers may not know

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace

size_t dtype_size_bytes(DType dtype) { return dtype == DType::kF32 || dtype == DType::kI32 ? 4 : 2; }

const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kBf16:
      return "bf16";
    case DType::kF16:
      return "f16";
    case DType::kI32:
      break;
  }
  return "i32";
}

DType parse_dtype(const std::string& spelling) {
  if (spelling == "F32") return DType::kF32;
  if (spelling == "BF16") return DType::kBf16;
  if (spelling == "F16") return DType::kF16;
  if (spelling == "I32") return DType::kI32;
  throw Error("ERR_OCTAVO_DTYPE",
              "Expected F32, BF16, F16 or I32 for a dtype but received \"" + spelling + "\"");
}

int64_t Tensor::num_elements() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

Tensor Tensor::zeros(DType dtype, std::vector<int64_t> shape, HugePages huge_pages) {
  constexpr int64_t kMaxBytes = int64_t{1} << 46;  // the address space of common machines
  int64_t size_bytes = static_cast<int64_t>(dtype_size_bytes(dtype));
  for (const int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(size_bytes, size, &size_bytes) || size_bytes > kMaxBytes)
      throw Error("ERR_OCTAVO_MEMORY",
                  "Expected a tensor of at most 2^46 bytes but received shape " + shape_text(shape));
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  size_t mapped_bytes = size_bytes > 0 ? static_cast<size_t>(size_bytes) : 1;
  // Systems begin at a huge page's place what is a whole number of them.
  const bool is_large = mapped_bytes >= 2 * kHugePageBytes;
  if (is_large) mapped_bytes = (mapped_bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  void* data =
      mmap(nullptr, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED)
    throw Error("ERR_OCTAVO_MEMORY", "The system refused " + std::to_string(size_bytes) +
                                         " bytes for a tensor of shape " + shape_text(tensor.shape));
  if (is_large && huge_pages == HugePages::kAtOnce)
    madvise(data, mapped_bytes, MADV_HUGEPAGE);  // advice only
  tensor.data = data;
  tensor.memory = std::shared_ptr<void>(data, [mapped_bytes](void* memory) { munmap(memory, mapped_bytes); });
  return tensor;
}

void Tensor::use_huge_pages(size_t from_bytes, size_t to_bytes) const {
  const auto begin = reinterpret_cast<uintptr_t>(data);
  const auto whole_pages_below = [](uintptr_t place) { return place - place % kHugePageBytes; };
  const uintptr_t first =
      std::max(whole_pages_below(begin + kHugePageBytes - 1), whole_pages_below(begin + from_bytes));
  const uintptr_t end = whole_pages_below(begin + to_bytes);
  if (first >= end) return;
  void* const pages = reinterpret_cast<void*>(first);
  // Where the system cannot do so at once it may with time.
  if (madvise(pages, end - first, kCollapse) != 0) madvise(pages, end - first, MADV_HUGEPAGE);
}

}  // namespace octavo
