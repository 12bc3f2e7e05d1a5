// See mapped_file.h.
#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/check.h"

namespace octavo {

namespace {

[[noreturn]] void fail(const std::string& message) { throw Error("ERR_OCTAVO_MODEL_FILE", message); }

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  // Non-blocking: opening a named pipe must not wait for a writer.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail("Cannot open " + path + ": " + std::strerror(errno));
  struct stat status {};
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0) {
    close(descriptor);
    fail("Expected a regular, nonempty file at " + path);
  }
  // Writable, privately: a notebook that writes to a view of a weight gets its own copy of the page, not a
  // crash.
  void* data = mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_NORESERVE, descriptor, 0);
  if (data == MAP_FAILED) {
    const int reason = errno;
    close(descriptor);
    fail("Cannot map " + path + ": " + std::strerror(reason));
  }
  // Advice only: where the file system caches a file in huge pages, reading weights is up to a fifth faster.
  madvise(data, static_cast<size_t>(status.st_size), MADV_HUGEPAGE);
  return std::shared_ptr<const MappedFile>(
      new MappedFile(path, descriptor, static_cast<const std::byte*>(data), status));
}

MappedFile::MappedFile(std::string path, int descriptor, const std::byte* data, const struct stat& status)
    : path_(std::move(path)),
      descriptor_(descriptor),
      data_(data),
      size_bytes_(status.st_size),
      written_at_(status.st_mtim),
      lost_pages_(data, static_cast<size_t>(size_bytes_)) {}

MappedFile::~MappedFile() {
  lost_pages_.stop();
  munmap(const_cast<std::byte*>(data_), static_cast<size_t>(size_bytes_));
  close(descriptor_);
}

const std::byte* MappedFile::range(int64_t offset_bytes, int64_t size_bytes, const std::string& what) const {
  if (offset_bytes < 0 || size_bytes < 0 || offset_bytes > size_bytes_ ||
      size_bytes > size_bytes_ - offset_bytes)
    fail("Expected " + what + " within the " + std::to_string(size_bytes_) + " bytes of " + path_ +
         " but received offset " + std::to_string(offset_bytes) + " and size " + std::to_string(size_bytes));
  return data_ + offset_bytes;
}

void MappedFile::require_unchanged() const {
  struct stat status {};
  // Noted for good: what was cut stays lost though the file may grow again, and what was written over too
  // though its time may be set back.
  if (fstat(descriptor_, &status) != 0 || status.st_size != size_bytes_ ||
      status.st_mtim.tv_sec != written_at_.tv_sec || status.st_mtim.tv_nsec != written_at_.tv_nsec)
    lost_pages_.note();
  require_read_whole();
}

void MappedFile::require_read_whole() const {
  if (!lost_pages_.any()) return;
  fail(
      "Expected " + path_ + " to keep its " + std::to_string(size_bytes_) +
      " bytes as they are while in use but it was written to, or a part of it cannot be read; load the model "
      "again");
}

}  // namespace octavo
