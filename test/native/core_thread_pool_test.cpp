// The thread pool: every index exactly once, reproducible splits, several callers, exceptions, resizing.
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <numeric>
#include <thread>

#include "core/thread_pool.h"
#include "test.h"

using namespace octavo;

TEST("every index runs exactly once, for counts around the number of threads") {
  ThreadPool pool(4);
  for (const int64_t count : {0, 1, 3, 4, 5, 17, 1000}) {
    std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
    std::atomic<int> ranges{0};
    pool.parallel_for(count, [&](int64_t begin, int64_t end, int range_index) {
      REQUIRE(begin < end && range_index >= 0 && range_index < 4);
      ++ranges;
      for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
    });
    for (const auto& visit : visits) REQUIRE_EQUAL(visit.load(), 1);
    REQUIRE_EQUAL(static_cast<int64_t>(ranges.load()), std::min<int64_t>(count, 4));
  }
}

TEST("ranges depend on count and number of threads only") {
  ThreadPool pool(3);
  for (int repeat = 0; repeat < 200; ++repeat) {
    std::vector<std::pair<int64_t, int64_t>> ranges(3);
    pool.parallel_for(10, [&](int64_t begin, int64_t end, int index) {
      ranges[static_cast<size_t>(index)] = {begin, end};
    });
    REQUIRE((ranges == std::vector<std::pair<int64_t, int64_t>>{{0, 4}, {4, 7}, {7, 10}}));
  }
}

TEST("many short jobs from several threads at once all complete, with no two at the same time") {
  ThreadPool pool(3);
  std::atomic<int> running{0};
  std::atomic<int64_t> total{0};
  std::atomic<bool> overlapped{false};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller)
    callers.emplace_back([&] {
      for (int job = 0; job < 5000; ++job) {
        std::atomic<int> mine{0};
        pool.parallel_for(3, [&](int64_t begin, int64_t end, int) {
          if (++running > 3) overlapped = true;
          for (int64_t i = begin; i < end; ++i) mine += static_cast<int>(i) + 1;
          --running;
        });
        total += mine;
      }
    });
  for (std::thread& caller : callers) caller.join();
  REQUIRE(!overlapped);
  REQUIRE_EQUAL(total.load(), int64_t{4} * 5000 * 6);
}

TEST("work really runs on several threads when it is long enough") {
  ThreadPool pool(2);
  std::thread::id ids[2];
  pool.parallel_for(2, [&](int64_t begin, int64_t, int index) {
    ids[index] = std::this_thread::get_id();
    std::this_thread::sleep_for(std::chrono::milliseconds(begin == 0 ? 100 : 1));
  });
  REQUIRE(ids[0] != ids[1]);
}

TEST("helpers that fell asleep wake up again") {
  ThreadPool pool(2);
  for (int repeat = 0; repeat < 5; ++repeat) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int> done{0};
    pool.parallel_for(2, [&](int64_t, int64_t, int) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      ++done;
    });
    REQUIRE_EQUAL(done.load(), 2);
  }
}

TEST("the exception of the lowest range is rethrown and the pool goes on") {
  ThreadPool pool(4);
  for (int repeat = 0; repeat < 100; ++repeat) {
    std::string message;
    try {
      pool.parallel_for(4, [](int64_t begin, int64_t, int) {
        if (begin == 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // the lowest is late
        if (begin > 0) throw std::runtime_error("range " + std::to_string(begin));
      });
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    REQUIRE_EQUAL(message, std::string("range 1"));
    std::atomic<int> done{0};
    pool.parallel_for(4, [&](int64_t, int64_t, int) { ++done; });
    REQUIRE_EQUAL(done.load(), 4);
  }
}

TEST("a call inside a body runs on the calling thread") {
  for (const int num_threads : {1, 2}) {
    ThreadPool pool(num_threads);
    std::atomic<int> inner{0};
    pool.parallel_for(2, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i)
        pool.parallel_for(5, [&](int64_t inner_begin, int64_t inner_end, int) {
          inner += static_cast<int>(inner_end - inner_begin);
        });
    });
    REQUIRE_EQUAL(inner.load(), 10);
  }
}

TEST("resizing while others call, and bad sizes") {
  ThreadPool pool(2);
  std::atomic<bool> stop{false};
  std::atomic<int64_t> wrong{0};
  std::thread caller([&] {
    while (!stop) {
      std::atomic<int64_t> sum{0};
      pool.parallel_for(100, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
      if (sum != 100) ++wrong;
    }
  });
  for (const int size : {1, 4, 3, 1, 2}) {
    pool.resize(size);
    REQUIRE_EQUAL(pool.num_threads(), size);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  stop = true;
  caller.join();
  REQUIRE_EQUAL(wrong.load(), int64_t{0});
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", pool.resize(0));
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", pool.resize(257));
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", ThreadPool(-1));
}

// Sanitizers need memory of their own for a thread.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST("a system that gives no more threads gets a smaller pool") {
  int64_t num_pages = 0;
  std::ifstream("/proc/self/statm") >> num_pages;
  if (num_pages == 0) return std::printf("     skipped: no /proc\n"), void();
  rlimit before{};
  getrlimit(RLIMIT_AS, &before);
  rlimit tight = before;  // room for the stacks of a few threads
  tight.rlim_cur = static_cast<rlim_t>(num_pages) * 4096 + (rlim_t{64} << 20);
  REQUIRE_EQUAL(setrlimit(RLIMIT_AS, &tight), 0);
  int num_threads = 0, size_after_growing = 0;
  std::atomic<int64_t> sum{0};
  try {
    ThreadPool pool(200);
    num_threads = pool.num_threads();
    pool.parallel_for(1000, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
    pool.resize(2);
    pool.resize(150);
    size_after_growing = pool.num_threads();
  } catch (...) {
    setrlimit(RLIMIT_AS, &before);
    throw;
  }
  setrlimit(RLIMIT_AS, &before);
  std::printf("     %d of 200 threads, then %d of 150\n", num_threads, size_after_growing);
  REQUIRE(num_threads >= 1 && num_threads < 200);
  REQUIRE(size_after_growing >= 1 && size_after_growing < 150);
  REQUIRE_EQUAL(sum.load(), int64_t{1000});
}
#endif

TEST("fork and join time (printed, not judged)") {
  ThreadPool pool(2);
  constexpr int kJobs = 20000;
  int64_t sums[2] = {0, 0};
  const auto started = std::chrono::steady_clock::now();
  for (int job = 0; job < kJobs; ++job)
    pool.parallel_for(2, [&](int64_t begin, int64_t end, int index) { sums[index] += end - begin; });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  std::printf("     %.2f µs a fork and join\n", seconds / kJobs * 1e6);
  REQUIRE_EQUAL(sums[0] + sums[1], int64_t{2} * kJobs);
}

TEST("chunks: each index once, whatever the threads, also from inside a body and after a body threw") {
  ThreadPool& pool = ThreadPool::shared();
  const int before = pool.num_threads();
  constexpr double kAlwaysFork = 1e9;
  for (const int threads : {1, 2, 3, 40}) {
    pool.resize(threads);
    for (const int64_t count : {0, 1, 2, 15, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
      parallel_for_chunks(count, kAlwaysFork, [&](int64_t index) { ++calls[static_cast<size_t>(index)]; });
      for (const std::atomic<int>& number : calls) REQUIRE_EQUAL(number.load(), 1);
      REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", {
        parallel_for_chunks(count + 1, kAlwaysFork, [&](int64_t index) {
          if (index == count) throw Error("ERR_OCTAVO_ARGUMENT", "the last index");
        });
      });
    }
    std::atomic<int> inner{0};
    pool.parallel_for(4, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) parallel_for_chunks(10, kAlwaysFork, [&](int64_t) { ++inner; });
    });
    REQUIRE_EQUAL(inner.load(), 40);
  }
  pool.resize(before);
}

TEST("chunks: a thread that is held up keeps one index, and the others do the rest") {
  ThreadPool& pool = ThreadPool::shared();
  const int before = pool.num_threads();
  pool.resize(2);
  constexpr int64_t kCount = 64;
  std::atomic<int> num_done{0};
  std::atomic<bool> waited_in_vain{false};
  // Both shares' first index waits until everything but the waiting one is done, which only the other thread
  // can do.
  std::atomic<bool> somebody_waits{false};
  parallel_for_chunks(kCount, 1e9, [&](int64_t) {
    if (!somebody_waits.exchange(true)) {
      const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      while (num_done < kCount - 1 && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
      if (num_done < kCount - 1) waited_in_vain = true;
    }
    ++num_done;
  });
  REQUIRE_EQUAL(num_done.load(), static_cast<int>(kCount));
  REQUIRE(!waited_in_vain);
  pool.resize(before);
}
