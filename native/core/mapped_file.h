// A file mapped into memory; what is written there never reaches it. The file itself must stay as it was at
// opening: of one cut short the missing part reads as zeros, of one written over what it holds now, so owners
// ask before each use and after it. One that is replaced by another of its name, or deleted, stays mapped.
#pragma once

#include <sys/stat.h>

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

  // Throws ERR_OCTAVO_MODEL_FILE when the file's size or the time it was last written is no longer that at
  // opening, and from then on. A writer that sets the time back in between is not noticed.
  void require_unchanged() const;
  // Throws the same when a part that is gone has been read. Asks the system nothing.
  void require_read_whole() const;

 private:
  MappedFile(std::string path, int descriptor, const std::byte* data, const struct stat& status);

  std::string path_;
  int descriptor_;
  const std::byte* data_;
  int64_t size_bytes_;
  timespec written_at_;
  mutable LostPages lost_pages_;
};

}  // namespace octavo
