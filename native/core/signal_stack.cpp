// See signal_stack.h.
#include "core/signal_stack.h"

#include <csignal>
#include <cstddef>
#include <memory>
#include <new>

namespace octavo {

namespace {

constexpr size_t kStackBytes = 65536;  // of which saved vector registers take up to 11 KiB

class SignalStack {
 public:
  SignalStack() {
    stack_t current{};
    if (sigaltstack(nullptr, &current) != 0 || (current.ss_flags & SS_DISABLE) == 0) return;
    memory_.reset(new (std::nothrow) std::byte[kStackBytes]);
    if (!memory_) return;
    stack_t own{};
    own.ss_sp = memory_.get();
    own.ss_size = kStackBytes;
    if (sigaltstack(&own, nullptr) != 0) memory_.reset();
  }
  ~SignalStack() {
    stack_t current{};
    if (!memory_ || sigaltstack(nullptr, &current) != 0 || current.ss_sp != memory_.get()) return;
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
  }
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;

 private:
  std::unique_ptr<std::byte[]> memory_;
};

}  // namespace

void ensure_signal_stack() { thread_local const SignalStack stack; }

}  // namespace octavo
