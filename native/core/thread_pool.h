// Fork/join over a fixed set of threads. Ranges are claimed, not assigned: a caller whose helpers are asleep
// or descheduled runs their ranges itself, so small jobs never wait for a wake-up and a shared machine costs
// little. Idle helpers spin briefly, then sleep: a barrier that only spins collapses when cores are taken.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

namespace octavo {

class ThreadPool {
 public:
  // The process's pool, never destroyed (threads must not be joined while the process exits). Its first size
  // is num_usable_cores().
  static ThreadPool& shared();

  // From 1 to 256 threads, the caller of parallel_for included; fewer where the system gives no more. Throws
  // ERR_OCTAVO_ARGUMENT.
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const;
  // Waits for a running parallel_for; sizes as for a new pool. Throws ERR_OCTAVO_ARGUMENT; not from inside a
  // body.
  void resize(int num_threads);

  // Splits [0, count) into contiguous ranges, at most num_threads, and calls body(begin, end, range_index)
  // for each nonempty one; returns when all are done. range_index is in [0, num_threads) and different for
  // each range, so it may index scratch memory. The split depends on count and num_threads only, so
  // reductions inside one index are reproducible. Callable from several threads: the calls run one after
  // another. From inside a body: runs on the calling thread. When bodies throw, every range is still run or
  // abandoned, then the exception of the lowest range that threw is rethrown.
  template <typename Body>
  void parallel_for(int64_t count, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run(
        count,
        [](void* context, int64_t begin, int64_t end, int range_index) {
          (*static_cast<Plain*>(context))(begin, end, range_index);
        },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  using Function = void (*)(void* context, int64_t begin, int64_t end, int range_index);
  void run(int64_t count, Function function, void* context);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// What is left of [0, count) in chunks that threads claim: each from a contiguous share of its own, then from
// the others' shares.
class ChunkShares {
 public:
  ChunkShares(int64_t count, int num_threads)
      : count_(count), num_shares_(num_threads < kMaxShares ? num_threads : kMaxShares) {
    for (int share = 0; share < num_shares_; ++share) next_[share].index = begin_of(share);
  }

  // Calls body(index) until nothing is left to claim.
  template <typename Body>
  void drain(int thread, Body&& body) {
    for (int step = 0; step < num_shares_; ++step) {
      const int share = (thread + step) % num_shares_;
      const int64_t end = begin_of(share + 1);
      for (int64_t index = next_[share].index++; index < end; index = next_[share].index++) body(index);
    }
  }

 private:
  static constexpr int kMaxShares = 16;
  int64_t begin_of(int share) const { return count_ * share / num_shares_; }

  struct alignas(64) Next {
    std::atomic<int64_t> index;
  };
  const int64_t count_;
  const int num_shares_;
  Next next_[kMaxShares];
};

constexpr double kWorthwhileCost = 32768;  // about 2 µs of one core; a fork and join takes about 1 µs

// Splits work over the shared pool only when `cost` (roughly, fp32 operations or bytes) makes up for the
// fork.
template <typename Body>
void parallel_for_worthwhile(int64_t count, double cost, Body&& body) {
  if (cost < kWorthwhileCost || count < 2) {
    if (count > 0) body(int64_t{0}, count, 0);
    return;
  }
  ThreadPool::shared().parallel_for(count, std::forward<Body>(body));
}

// Calls body(index) for each index once. Which thread runs it is left to chance, so no index may depend on
// another: a thread that is held up keeps the rest waiting for one index only.
template <typename Body>
void parallel_for_chunks(int64_t count, double cost, Body&& body) {
  ThreadPool& pool = ThreadPool::shared();
  const int num_threads = pool.num_threads();
  if (cost < kWorthwhileCost || count < 2 || num_threads < 2) {
    for (int64_t index = 0; index < count; ++index) body(index);
    return;
  }
  ChunkShares shares(count, num_threads);
  pool.parallel_for(num_threads,
                    [&](int64_t begin, int64_t, int) { shares.drain(static_cast<int>(begin), body); });
}

}  // namespace octavo
