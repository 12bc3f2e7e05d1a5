// Keeps signals from interrupting a stretch of code on the calling thread. oneDNN 2.6's generated sgemm keeps
// live data below the stack pointer's red zone, where a signal handler's frame overwrites it: a handler that
// runs meanwhile (an interrupt, a profiler's tick) corrupts the heap. A fault cannot wait: its handler gets a
// stack of its own.
#pragma once

#include <csignal>

#include "core/signal_stack.h"

namespace octavo {

// Signals that arrive are delivered when the last block of the thread ends. Faults of the code itself are not
// held back.
class SignalBlock {
 public:
  SignalBlock() {
    ensure_signal_stack();
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&blocked, fault);
    pthread_sigmask(SIG_BLOCK, &blocked, &before_);
  }
  ~SignalBlock() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;

 private:
  sigset_t before_;
};

}  // namespace octavo
