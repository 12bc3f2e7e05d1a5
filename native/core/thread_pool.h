// Fork/join over a fixed set of threads. Waits spin briefly, then sleep: a barrier that only spins collapses when
// the machine is shared.
#pragma once

#include <cstdint>
#include <functional>

namespace octavo {

class ThreadPool {
 public:
  // The process's pool. Its first size is the number of usable cores.
  static ThreadPool& shared();

  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const;
  // Not while a parallel_for runs.
  void resize(int num_threads);

  // Splits [0, count) into contiguous ranges, one a thread, and calls body(begin, end, thread_index) for each;
  // returns when all are done. The caller is thread 0. Calls from several threads run one after another. The split
  // depends on count and num_threads only, so reductions inside one index are reproducible.
  void parallel_for(int64_t count, const std::function<void(int64_t begin, int64_t end, int thread_index)>& body);

 private:
  struct Impl;
  Impl* impl_;
};

}  // namespace octavo
