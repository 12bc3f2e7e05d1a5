// Mapped pages that can no longer be read, because another program cut their file short or the disk failed,
// read as zeros and say so. The system's answer to such a read is a signal that ends the process; a handler
// of the process puts empty memory there in its place, so that the work under way ends and can be refused.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace octavo {

// Guards a mapping from its making until just before its unmapping; the first one installs the handler, which
// passes on all that is not about guarded pages. From any thread.
class LostPages {
 public:
  // data: the beginning of a page.
  LostPages(const void* data, size_t size_bytes);
  ~LostPages() { stop(); }
  LostPages(const LostPages&) = delete;
  LostPages& operator=(const LostPages&) = delete;

  // Whether zeros may have been read in place of what the file held. Stays so.
  bool any() const { return range_->lost.load(std::memory_order_relaxed); }
  void note() { range_->lost.store(true, std::memory_order_relaxed); }
  // Guards no longer: other memory may come to stand there. The last call.
  void stop();

 private:
  // Never freed, as a handler may be looking at it; used again for later mappings.
  struct Range {
    std::atomic<uintptr_t> begin = 0, end = 0;  // end 0: guards nothing
    std::atomic<bool> lost = false;
    Range* next = nullptr;
  };
  struct Ranges;

  Range* range_;
};

}  // namespace octavo
