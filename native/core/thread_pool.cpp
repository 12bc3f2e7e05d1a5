// Protocol: `ticket_` holds (job number << 16 | next unclaimed range). A thread owns a range once its
// compare-exchange on the ticket succeeds; the job cannot end before that range is done, so job fields are
// safe to read from then on.
#include "core/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

#include "core/check.h"
#include "core/cpu_info.h"

namespace octavo {

namespace {

constexpr int kMaxThreads = 256;
constexpr int kFieldBits = 10;  // two fields of the ticket that count up to kMaxThreads
constexpr uint64_t kFieldMask = (uint64_t{1} << kFieldBits) - 1;
constexpr int kSpinsBeforeYield = 256;
constexpr auto kIdleBeforeSleep = std::chrono::microseconds(100);

thread_local bool inside_body = false;

void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

void require_thread_count(int num_threads) {
  if (num_threads < 1 || num_threads > kMaxThreads)
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected an integer from 1 to 256 for the number of threads but received " +
                    std::to_string(num_threads));
}

}  // namespace

struct ThreadPool::Impl {
  // Job under way; written only while no range is claimable.
  Function function = nullptr;
  void* context = nullptr;
  int64_t count = 0;

  alignas(64) std::atomic<uint64_t> ticket{0};  // zero ranges: nothing to claim
  alignas(64) std::atomic<int> num_unfinished{0};
  alignas(64) std::atomic<uint32_t> epoch{0};
  std::atomic<int> num_sleeping{0};
  std::atomic<bool> stopping{false};

  std::mutex callers;  // one job at a time
  std::mutex failures;
  std::exception_ptr failure;
  int failed_range = 0;
  std::atomic<int> num_threads{0};
  std::vector<std::thread> helpers;

  // With as many threads as the system gives: a container may allow fewer than it has cores.
  void start(int threads) {
    stopping = false;
    helpers.reserve(static_cast<size_t>(threads - 1));
    try {
      for (int i = 1; i < threads; ++i) helpers.emplace_back([this] { help(); });
    } catch (const std::system_error&) {
    }
    num_threads = 1 + static_cast<int>(helpers.size());
  }

  void stop() {
    stopping = true;
    wake();
    for (std::thread& helper : helpers) helper.join();
    helpers.clear();
  }

  void wake() {
    epoch.fetch_add(1, std::memory_order_seq_cst);
    if (num_sleeping.load(std::memory_order_seq_cst) > 0) epoch.notify_all();
  }

  // Runs one range if one is left.
  bool claim_and_run() {
    uint64_t seen = ticket.load(std::memory_order_acquire);
    for (;;) {
      const int num_ranges = static_cast<int>((seen >> kFieldBits) & kFieldMask);
      const int range = static_cast<int>(seen & kFieldMask);
      if (range >= num_ranges) return false;
      if (ticket.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
        run_range(range, num_ranges);
        return true;
      }
    }
  }

  void run_range(int range, int num_ranges) {
    const int64_t share = count / num_ranges, extra = count % num_ranges;
    const int64_t begin = range * share + std::min<int64_t>(range, extra);
    const int64_t end = begin + share + (range < extra ? 1 : 0);
    inside_body = true;
    try {
      function(context, begin, end, range);
    } catch (...) {
      const std::lock_guard lock(failures);
      if (!failure || range < failed_range) failure = std::current_exception(), failed_range = range;
    }
    inside_body = false;
    if (num_unfinished.fetch_sub(1, std::memory_order_acq_rel) == 1) num_unfinished.notify_one();
  }

  void help() {
    using Clock = std::chrono::steady_clock;
    uint32_t seen_epoch = epoch.load(std::memory_order_acquire);
    while (!stopping.load(std::memory_order_relaxed)) {
      while (claim_and_run()) {
      }
      // Idle: spin, then yield, then sleep until the epoch changes.
      const auto idle_since = Clock::now();
      for (int spins = 0; epoch.load(std::memory_order_acquire) == seen_epoch; ++spins) {
        if (spins < kSpinsBeforeYield) {
          pause_briefly();
          continue;
        }
        if (Clock::now() - idle_since < kIdleBeforeSleep) {
          std::this_thread::yield();
          continue;
        }
        num_sleeping.fetch_add(1, std::memory_order_seq_cst);
        epoch.wait(seen_epoch, std::memory_order_seq_cst);
        num_sleeping.fetch_sub(1, std::memory_order_seq_cst);
      }
      seen_epoch = epoch.load(std::memory_order_acquire);
    }
  }

  void join() {
    for (int spins = 0;; ++spins) {
      const int left = num_unfinished.load(std::memory_order_acquire);
      if (left == 0) return;
      if (spins < 16 * kSpinsBeforeYield)
        pause_briefly();
      else
        num_unfinished.wait(left, std::memory_order_acquire);
    }
  }
};

ThreadPool& ThreadPool::shared() {
  static ThreadPool* const pool = new ThreadPool(std::min(num_usable_cores(), kMaxThreads));
  return *pool;
}

ThreadPool::ThreadPool(int num_threads) : impl_(std::make_unique<Impl>()) {
  require_thread_count(num_threads);
  impl_->start(num_threads);
}

ThreadPool::~ThreadPool() { impl_->stop(); }

int ThreadPool::num_threads() const { return impl_->num_threads.load(std::memory_order_relaxed); }

void ThreadPool::resize(int num_threads) {
  require_thread_count(num_threads);
  if (inside_body)
    throw Error("ERR_OCTAVO_BUSY",
                "Expected no parallel work on this thread while the thread pool is resized");
  const std::lock_guard lock(impl_->callers);
  if (num_threads == impl_->num_threads) return;
  impl_->stop();
  impl_->start(num_threads);
}

void ThreadPool::run(int64_t count, Function function, void* context) {
  if (count <= 0) return;
  Impl& impl = *impl_;
  if (inside_body) return function(context, 0, count, 0);
  std::unique_lock lock(impl.callers);
  const int num_ranges = static_cast<int>(std::min<int64_t>(count, impl.num_threads));
  if (num_ranges == 1) {
    lock.unlock();
    return function(context, 0, count, 0);
  }

  impl.function = function;
  impl.context = context;
  impl.count = count;
  impl.num_unfinished.store(num_ranges, std::memory_order_relaxed);
  const uint64_t job = (impl.ticket.load(std::memory_order_relaxed) >> (2 * kFieldBits)) + 1;
  impl.ticket.store((job << (2 * kFieldBits)) | (static_cast<uint64_t>(num_ranges) << kFieldBits),
                    std::memory_order_seq_cst);
  impl.wake();

  while (impl.claim_and_run()) {
  }
  impl.join();
  if (impl.failure) std::rethrow_exception(std::exchange(impl.failure, nullptr));
}

}  // namespace octavo
