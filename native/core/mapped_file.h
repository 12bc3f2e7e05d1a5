// A file mapped into memory; what is written there never reaches it. Its size is fixed at opening: of a file
// cut short afterwards the missing part reads as zeros, so owners ask before each use and after it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/lost_pages.h"

namespace octavo {

class MappedFile {
 public:
  // Throws Error: ERR_OCTAVO_MODEL_FILE when it cannot be opened, is not a regular file or is empty.
  static std::shared_ptr<const MappedFile> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  int64_t size_bytes() const { return size_bytes_; }

  // Throws ERR_OCTAVO_MODEL_FILE unless [offset, offset + size) lies within the file; `what` names the range.
  const std::byte* range(int64_t offset_bytes, int64_t size_bytes, const std::string& what) const;

  // Throws ERR_OCTAVO_MODEL_FILE when the file's size is no longer the one that was mapped, and from then on.
  void require_unchanged() const;
  // Throws the same when a part that is gone has been read. Asks the system nothing.
  void require_read_whole() const;

 private:
  MappedFile(std::string path, int descriptor, const std::byte* data, int64_t size_bytes);

  std::string path_;
  int descriptor_;
  const std::byte* data_;
  int64_t size_bytes_;
  mutable LostPages lost_pages_;
};

}  // namespace octavo
