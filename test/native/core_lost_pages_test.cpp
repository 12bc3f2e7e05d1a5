// Mapped files cut short while they are read: what is gone reads as zeros, in whatever thread and in the
// middle of a product, and no other fault is held up.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "core/mapped_file.h"
#include "core/tensor.h"
#include "ops/gemm.h"
#include "test.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr int64_t kBytes = 1 << 20;

// A file of bytes that are not zero, in a folder that goes away.
struct File {
  std::filesystem::path folder;
  std::string path;

  explicit File(int64_t size_bytes = kBytes) {
    std::string pattern = (std::filesystem::temp_directory_path() / "octavo-test-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()));
    folder = pattern;
    path = (folder / "weights").string();
    std::ofstream(path, std::ios::binary) << std::string(static_cast<size_t>(size_bytes), '?');
  }
  ~File() { std::filesystem::remove_all(folder); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
};

int64_t count_zeros(const MappedFile& file) {
  const std::byte* bytes = file.range(0, file.size_bytes(), "all");
  int64_t count = 0;
  for (int64_t i = 0; i < file.size_bytes(); ++i) count += bytes[i] == std::byte{0} ? 1 : 0;
  return count;
}

// What waitpid says of a child that runs `body` and then exits with 0.
int status_of_child(const std::function<void()>& body) {
  std::fflush(stdout);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    alarm(20);  // a fault that comes again and again would never end
    try {
      body();
    } catch (...) {
      _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  REQUIRE_EQUAL(waitpid(child, &status, 0), child);
  return status;
}

// Reads a mapping that no MappedFile knows of behind its file's end.
void read_lost_page_elsewhere(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY);
  const auto* bytes =
      static_cast<volatile char*>(mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE, descriptor, 0));
  std::filesystem::resize_file(path, 0);
  (void)bytes[kBytes / 2];
}

// Products by weights that are cut at every page, so that the fault comes wherever a product may stand.
void multiply_by_lost_weights() {
  constexpr int64_t kOut = 128, kIn = 256, kPage = 4096;
  for (const DType dtype : {DType::kF32, DType::kBf16, DType::kF16}) {
    Tensor weight;
    weight.dtype = dtype;
    weight.shape = {kOut, kIn};
    const auto size_bytes = static_cast<int64_t>(weight.size_bytes());
    const float number = dtype == DType::kF32 ? 0.74706F : dtype == DType::kBf16 ? 0.74609F : 1.81152F;
    for (int64_t cut_bytes = 0; cut_bytes < size_bytes; cut_bytes += kPage) {
      for (const int64_t rows : {1, 2, 5, 37, 128, 300}) {
        const File cut(size_bytes);
        const auto file = MappedFile::open(cut.path);
        weight.data = const_cast<std::byte*>(file->range(0, size_bytes, "weight"));
        std::filesystem::resize_file(cut.path, static_cast<uintmax_t>(cut_bytes));
        const std::vector<float> input(static_cast<size_t>(rows * kIn), 0.5F);
        std::vector<float> output(static_cast<size_t>(rows * kOut), -1.0F);
        gemm_cpu(input.data(), weight, rows, output.data());
        const int64_t num_left = cut_bytes / static_cast<int64_t>(dtype_size_bytes(dtype));
        for (int64_t i = 0; i < rows * kOut; ++i) {
          const int64_t num_summed = std::clamp<int64_t>(num_left - i % kOut * kIn, 0, kIn);
          const float expected = 0.5F * number * static_cast<float>(num_summed);
          REQUIRE(std::fabs(output[static_cast<size_t>(i)] - expected) <= 1e-4F * expected);
        }
        REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", file->require_read_whole());
      }
    }
  }
}

}  // namespace

// The first in this program: later the handler stands already.
TEST("a handler that was there before gets what is not about mapped files") {
  const File mapped, other;
  for (const bool with_details : {false, true}) {
    const int status = status_of_child([&] {
      struct sigaction action {};
      if (with_details) {
        action.sa_flags = SA_SIGINFO;
        action.sa_sigaction = [](int, siginfo_t* info, void*) { _exit(info->si_addr != nullptr ? 43 : 1); };
      } else {
        action.sa_handler = [](int) { _exit(42); };
      }
      sigaction(SIGBUS, &action, nullptr);
      const auto file = MappedFile::open(mapped.path);
      std::filesystem::resize_file(mapped.path, 0);
      if (count_zeros(*file) != kBytes) _exit(1);
      read_lost_page_elsewhere(other.path);
    });
    REQUIRE(WIFEXITED(status));
    REQUIRE_EQUAL(WEXITSTATUS(status), with_details ? 43 : 42);
    std::filesystem::resize_file(mapped.path, kBytes);
    std::filesystem::resize_file(other.path, kBytes);
  }
}

TEST("what is gone of a file reads as zeros, and the file says so from then on") {
  const File cut, whole;
  const auto cut_file = MappedFile::open(cut.path), whole_file = MappedFile::open(whole.path);
  std::filesystem::resize_file(cut.path, kBytes / 2);
  cut_file->require_read_whole();  // nothing was read yet
  REQUIRE_EQUAL(count_zeros(*cut_file), kBytes / 2);
  REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", cut_file->require_read_whole());
  std::filesystem::resize_file(cut.path, kBytes);
  REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", cut_file->require_unchanged());
  REQUIRE_EQUAL(count_zeros(*whole_file), int64_t{0});
  whole_file->require_unchanged();
}

TEST("a mapping made after another went is guarded, and begins unharmed") {
  for (int round = 0; round < 3; ++round) {
    const File first, second;
    const auto kept = MappedFile::open(first.path);
    {
      const auto file = MappedFile::open(second.path);
      std::filesystem::resize_file(second.path, 0);
      REQUIRE_EQUAL(count_zeros(*file), kBytes);
    }
    std::filesystem::resize_file(first.path, 0);
    kept->require_read_whole();
    REQUIRE_EQUAL(count_zeros(*kept), kBytes);
    REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", kept->require_read_whole());
  }
}

TEST("threads that read what is gone, from either end, all go on") {
  const File cut;
  const auto file = MappedFile::open(cut.path);
  std::filesystem::resize_file(cut.path, 1);
  const std::byte* bytes = file->range(0, kBytes, "all");
  std::vector<int64_t> sums(4, -1);
  std::vector<std::thread> threads;
  for (size_t index = 0; index < sums.size(); ++index) {
    threads.emplace_back([&, index] {
      int64_t sum = 0;
      for (int64_t i = 0; i < kBytes; ++i)
        sum += static_cast<int>(bytes[index % 2 == 0 ? i : kBytes - 1 - i]);
      sums[index] = sum;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int64_t sum : sums) REQUIRE_EQUAL(sum, int64_t{'?'});
}

// oneDNN's products for AVX2 are those that keep data where a handler on the thread's own stack would write.
// Its choice is made at its first use, hence the child, which comes before the pool's threads.
TEST("products by weights of which a part is gone take zeros for it, and leave the heap whole") {
  const int status = status_of_child([] {
    setenv("DNNL_MAX_CPU_ISA", "AVX2", 1);
    multiply_by_lost_weights();
  });
  REQUIRE(WIFEXITED(status));
  REQUIRE_EQUAL(WEXITSTATUS(status), 0);
  multiply_by_lost_weights();
}

TEST("faults elsewhere and a signal that was sent end the process as ever") {
  const File mapped, other;
  const auto file = MappedFile::open(mapped.path);
  const std::vector<std::function<void()>> ends = {[&] { read_lost_page_elsewhere(other.path); },
                                                   [] { kill(getpid(), SIGBUS); }};
  for (const auto& end : ends) {
    const int status = status_of_child(end);
#ifdef __SANITIZE_ADDRESS__
    REQUIRE(!WIFEXITED(status) || WEXITSTATUS(status) != 0);  // its own handler reports, then exits
#else
    REQUIRE(WIFSIGNALED(status));
    REQUIRE_EQUAL(WTERMSIG(status), SIGBUS);
#endif
  }
}
