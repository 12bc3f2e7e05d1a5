// Tensors, mapped files, 16-bit numbers, instruction sets and the counter-based generator.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "core/cpu_info.h"
#include "core/half.h"
#include "core/mapped_file.h"
#include "core/random.h"
#include "core/tensor.h"
#include "test.h"

using namespace octavo;

namespace {

struct TemporaryFolder {
  std::filesystem::path path;
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "octavo-test-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()));
    path = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
};

}  // namespace

TEST("a tensor is zero-filled, aligned to 64 bytes, and costs nothing until touched") {
  const Tensor tensor = Tensor::zeros(DType::kF32, {3, 5, 7});
  REQUIRE_EQUAL(tensor.num_elements(), int64_t{105});
  REQUIRE_EQUAL(tensor.size_bytes(), size_t{420});
  REQUIRE_EQUAL(reinterpret_cast<uintptr_t>(tensor.data) % 64, uintptr_t{0});
  for (int i = 0; i < 105; ++i) REQUIRE_EQUAL(tensor.f32()[i], 0.0f);
  // 64 GiB: refused at once if it were committed.
  const Tensor arena = Tensor::zeros(DType::kBf16, {int64_t{1} << 35});
  static_cast<uint16_t*>(arena.data)[(int64_t{1} << 35) - 1] = 7;
  REQUIRE_EQUAL(int{static_cast<uint16_t*>(arena.data)[(int64_t{1} << 35) - 1]}, 7);
  REQUIRE(Tensor::zeros(DType::kF32, {0, 4}).data != nullptr);
}

TEST("memory that takes huge pages as it fills costs what is touched, and keeps its contents") {
  constexpr size_t kBytes = size_t{16} << 20, kPage = 4096, kFilled = size_t{7} << 20;
  const Tensor tensor = Tensor::zeros(DType::kI32, {kBytes / 4}, HugePages::kAsFilled);
  std::ifstream setting("/sys/kernel/mm/transparent_hugepage/enabled");
  const std::string enabled((std::istreambuf_iterator<char>(setting)), std::istreambuf_iterator<char>());
  const auto num_resident = [&] {
    std::vector<unsigned char> pages(kBytes / kPage);
    REQUIRE(mincore(tensor.data, kBytes, pages.data()) == 0);
    return std::count_if(pages.begin(), pages.end(), [](unsigned char page) { return page & 1; });
  };
  for (size_t i = 0; i < kFilled / 4; ++i) {
    tensor.i32()[i] = static_cast<int32_t>(i * 7 + 1);
    if (i == 0 && enabled.find("[always]") == std::string::npos) REQUIRE(num_resident() <= 1);
    if (i % 65536 == 0) tensor.use_huge_pages(i < 65536 ? 0 : 4 * (i - 65536), 4 * i);
  }
  tensor.use_huge_pages(0, 0);
  for (size_t i = 0; i < kBytes / 4; ++i)
    REQUIRE_EQUAL(tensor.i32()[i], i < kFilled / 4 ? static_cast<int32_t>(i * 7 + 1) : 0);
}

TEST("absurd tensor shapes are refused") {
  REQUIRE_ERROR("ERR_OCTAVO_MEMORY", Tensor::zeros(DType::kF32, {-1}));
  REQUIRE_ERROR("ERR_OCTAVO_MEMORY", Tensor::zeros(DType::kF32, {int64_t{1} << 40, int64_t{1} << 40}));
  REQUIRE_ERROR("ERR_OCTAVO_DTYPE", parse_dtype("F64"));
  REQUIRE_EQUAL(std::string(dtype_name(parse_dtype("BF16"))), std::string("bf16"));
}

TEST("a mapped file is read in place and ranges are checked") {
  const TemporaryFolder folder;
  const std::string path = (folder.path / "weights").string();
  std::ofstream(path) << "0123456789";
  const auto file = MappedFile::open(path);
  REQUIRE_EQUAL(file->size_bytes(), int64_t{10});
  REQUIRE_EQUAL(static_cast<char>(*file->range(9, 1, "x")), '9');
  file->range(10, 0, "x");
  constexpr int64_t kMax = INT64_MAX;
  for (const auto& [offset, size] : std::vector<std::pair<int64_t, int64_t>>{
           {10, 1}, {0, 11}, {-1, 2}, {0, -1}, {kMax, 1}, {1, kMax}, {11, 0}})
    REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", file->range(offset, size, "x"));
}

TEST("a file that is missing, empty, a folder or a pipe is refused") {
  const TemporaryFolder folder;
  const std::string empty = (folder.path / "empty").string();
  std::ofstream(empty).close();
  REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", MappedFile::open((folder.path / "missing").string()));
  REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", MappedFile::open(empty));
  REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", MappedFile::open(folder.path.string()));
  REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", MappedFile::open("/dev/zero"));
}

TEST("a file cut short or grown while mapped is noticed") {
  const TemporaryFolder folder;
  const std::string path = (folder.path / "weights").string();
  std::ofstream(path) << std::string(10000, 'x');
  const auto file = MappedFile::open(path);
  file->require_unchanged();
  std::filesystem::resize_file(path, 100);
  REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", file->require_unchanged());
  std::filesystem::resize_file(path, 20000);
  REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", file->require_unchanged());
  std::filesystem::resize_file(path, 10000);  // what was cut is gone though the size is right again
  REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", file->require_unchanged());
  MappedFile::open(path)->require_unchanged();
}

TEST("a file written over while mapped is noticed, one that is replaced or deleted stays as it was") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path / "weights", other = folder.path / "other";
  std::ofstream(path) << std::string(10000, 'x');
  // An hour ago: a write right after opening must not fall on the same tick of the system's clock.
  const auto before = std::filesystem::last_write_time(path) - std::chrono::hours(1);
  std::filesystem::last_write_time(path, before);
  const auto written = MappedFile::open(path.string());
  written->require_unchanged();
  std::fstream(path, std::ios::in | std::ios::out).seekp(5000) << 'y';
  REQUIRE_EQUAL(std::filesystem::file_size(path), uintmax_t{10000});
  REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", written->require_unchanged());
  std::filesystem::last_write_time(path, before);  // what was written stays
  REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", written->require_unchanged());
  REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", written->require_read_whole());

  const auto replaced = MappedFile::open(path.string());
  std::filesystem::permissions(path, std::filesystem::perms::owner_read);
  std::ofstream(other) << std::string(20000, 'z');
  std::filesystem::rename(other, path);
  replaced->require_unchanged();
  const auto deleted = MappedFile::open(path.string());
  std::filesystem::remove(path);
  deleted->require_unchanged();
  REQUIRE(*replaced->range(5000, 1, "a byte") == std::byte{'y'});
  REQUIRE(*deleted->range(5000, 1, "a byte") == std::byte{'z'});
}

TEST("narrowing to 16 bits rounds to nearest even") {
  REQUIRE_EQUAL(int{narrow_to_bf16(1.0f)}, 0x3F80);
  REQUIRE_EQUAL(int{narrow_to_bf16(1.00390625f)}, 0x3F80);  // halfway: to even
  REQUIRE_EQUAL(int{narrow_to_bf16(1.01171875f)}, 0x3F82);
  REQUIRE_EQUAL(int{narrow_to_bf16(-INFINITY)}, 0xFF80);
  REQUIRE((narrow_to_bf16(NAN) & 0x7FFF) > 0x7F80);
  REQUIRE_EQUAL(int{narrow_to_f16(1.0f)}, 0x3C00);
  REQUIRE_EQUAL(int{narrow_to_f16(-2.5f)}, 0xC100);
  REQUIRE_EQUAL(int{narrow_to_f16(65504.0f)}, 0x7BFF);
  REQUIRE_EQUAL(int{narrow_to_f16(65519.0f)}, 0x7BFF);
  REQUIRE_EQUAL(int{narrow_to_f16(65520.0f)}, 0x7C00);
  REQUIRE_EQUAL(int{narrow_to_f16(0x1p-24f)}, 1);
  REQUIRE_EQUAL(int{narrow_to_f16(0x1p-25f)}, 0);  // halfway: to even
  REQUIRE_EQUAL(int{narrow_to_f16(0x1.8p-24f)}, 2);
  REQUIRE_EQUAL(int{narrow_to_f16(0x1.ff8p-15f)}, 0x03FF);  // the largest subnormal
  REQUIRE_EQUAL(int{narrow_to_f16(0x1.ffcp-15f)}, 0x0400);  // halfway: to even, which is the smallest normal
  REQUIRE_EQUAL(int{narrow_to_f16(0x1.ffep0f)}, 0x4000);    // carries into the exponent
}

TEST("Philox gives the known answers of its authors") {
  using Words = std::array<uint32_t, 4>;
  REQUIRE((philox4x32(0, {0, 0, 0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  REQUIRE((philox4x32(~uint64_t{0}, {~0u, ~0u, ~0u, ~0u}) ==
           Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  REQUIRE((philox4x32(0x299f31d0a4093822u, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}) ==
           Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST("uniform numbers lie in [0, 1), differ in every coordinate, and have the right mean") {
  std::set<uint64_t> seen;
  for (const uint64_t seed : {0, 1})
    for (const RandomStream stream : {RandomStream::kSampling, RandomStream::kEviction})
      for (uint32_t layer = 0; layer < 3; ++layer)
        for (uint32_t step = 0; step < 3; ++step)
          for (uint32_t index = 0; index < 3; ++index)
            seen.insert(random_bits(seed, stream, layer, step, index));
  REQUIRE_EQUAL(seen.size(), size_t{2 * 2 * 27});
  double sum = 0, normal_sum = 0, normal_squares = 0;
  constexpr int kDraws = 100000;
  for (uint32_t i = 0; i < kDraws; ++i) {
    const double uniform = random_uniform(7, RandomStream::kSampling, 0, 0, i);
    REQUIRE(uniform >= 0 && uniform < 1);
    sum += uniform;
    for (const double normal : random_normal_pair(7, RandomStream::kWeights, 0, 0, i)) {
      REQUIRE(std::isfinite(normal));
      normal_sum += normal;
      normal_squares += normal * normal;
    }
  }
  REQUIRE(std::fabs(sum / kDraws - 0.5) < 0.005);  // five standard errors
  REQUIRE(std::fabs(normal_sum / (2 * kDraws)) < 0.012);
  REQUIRE(std::fabs(normal_squares / (2 * kDraws) - 1) < 0.016);
}

TEST("the instruction set can be lowered but not raised above the machine's") {
  const SimdLevel before = simd_level();
  set_simd_level(SimdLevel::kPortable);
  REQUIRE(simd_level() == SimdLevel::kPortable);
  set_simd_level(before);
  if (best_simd_level() < SimdLevel::kAvx512)
    REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", set_simd_level(SimdLevel::kAvx512));
  REQUIRE(num_usable_cores() >= 1);
}
