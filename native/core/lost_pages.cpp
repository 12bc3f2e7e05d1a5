// The handler may run in the middle of anything, so it takes no lock: it walks a list that only ever grows.
#include "core/lost_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <mutex>

namespace octavo {

struct LostPages::Ranges {
  std::mutex mutex;  // of those who guard and unguard
  std::atomic<Range*> first = nullptr;
  struct sigaction previous {};
  uintptr_t page_bytes = 0;

  static Ranges& all() {
    static Ranges* const ranges = new Ranges;  // outlives every thread
    return *ranges;
  }

  static void handle(int signal, siginfo_t* info, void* context) {
    const int error = errno;
    const bool replaced = info->si_code > 0 && all().replace(reinterpret_cast<uintptr_t>(info->si_addr));
    if (!replaced) all().pass_on(signal, info, context);
    errno = error;
  }

  // From the page that was read to the mapping's end: behind the end of a file that was cut there is nothing.
  bool replace(uintptr_t address) {
    for (Range* range = first.load(std::memory_order_acquire); range != nullptr; range = range->next) {
      const uintptr_t end = range->end.load(std::memory_order_acquire);
      const uintptr_t begin = range->begin.load(std::memory_order_acquire);
      const bool is_one_mapping = range->end.load(std::memory_order_acquire) == end;
      if (!is_one_mapping || address < begin || address >= end) continue;
      range->lost.store(true, std::memory_order_relaxed);
      const uintptr_t page = address - address % page_bytes;
      return mmap(reinterpret_cast<void*>(page), end - page, PROT_READ | PROT_WRITE,
                  MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED;
    }
    return false;
  }

  void pass_on(int signal, siginfo_t* info, void* context) const {
    if ((previous.sa_flags & SA_SIGINFO) != 0) return previous.sa_sigaction(signal, info, context);
    const bool was_sent = info->si_code <= 0;  // by a process, not raised by a read
    if (previous.sa_handler == SIG_IGN && was_sent) return;
    if (previous.sa_handler != SIG_IGN && previous.sa_handler != SIG_DFL) return previous.sa_handler(signal);
    // The read that raised it is tried again, and ends the process as it would have without this handler.
    struct sigaction fatal {};
    fatal.sa_handler = SIG_DFL;
    sigaction(signal, &fatal, nullptr);
    if (was_sent) raise(signal);
  }

  void install() {
    page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    struct sigaction action {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGBUS, nullptr, &previous);
    action.sa_mask = previous.sa_mask;
    sigaction(SIGBUS, &action, nullptr);
  }
};

LostPages::LostPages(const void* data, size_t size_bytes) {
  Ranges& ranges = Ranges::all();
  const std::lock_guard lock(ranges.mutex);
  if (ranges.page_bytes == 0) ranges.install();
  range_ = ranges.first.load(std::memory_order_relaxed);
  while (range_ != nullptr && range_->end.load(std::memory_order_relaxed) != 0) range_ = range_->next;
  const bool is_new = range_ == nullptr;
  if (is_new) range_ = new Range{.next = ranges.first.load(std::memory_order_relaxed)};
  const auto begin = reinterpret_cast<uintptr_t>(data);
  range_->lost.store(false, std::memory_order_relaxed);
  range_->begin.store(begin, std::memory_order_release);
  range_->end.store(begin + size_bytes, std::memory_order_release);
  if (is_new) ranges.first.store(range_, std::memory_order_release);
}

void LostPages::stop() {
  if (range_ == nullptr) return;
  const std::lock_guard lock(Ranges::all().mutex);
  range_->end.store(0, std::memory_order_release);
  range_ = nullptr;
}

}  // namespace octavo
