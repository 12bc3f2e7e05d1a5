// A file mapped into memory; what is written there never reaches it. Its size is fixed at opening: a file cut
// short afterwards would make reads end the process, so owners call `require_unchanged` before each use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

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

  // Throws ERR_OCTAVO_MODEL_FILE when the file's size is no longer the one that was mapped.
  void require_unchanged() const;

 private:
  MappedFile(std::string path, int descriptor, const std::byte* data, int64_t size_bytes);

  std::string path_;
  int descriptor_;
  const std::byte* data_;
  int64_t size_bytes_;
};

}  // namespace octavo
