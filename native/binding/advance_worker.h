// One asynchronous advance, of a session or a batch: runs on a thread of libuv's pool, settles its promise on
// the main thread. Holds the engine and its JavaScript object, so neither can go meanwhile.
#pragma once

#include <napi.h>

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "binding/guard.h"
#include "binding/results.h"

namespace octavo::binding {

// Wrap: the engine's JavaScript object, told on the main thread by end_async that the advance is over.
template <typename Wrap, typename Engine, typename Request>
class AdvanceWorker final : public Napi::AsyncWorker {
 public:
  // name: as async hooks show it.
  static Napi::Promise start(const char* name, Wrap& wrap, std::shared_ptr<Engine> engine, Request request,
                             std::shared_ptr<std::atomic<bool>> cancelled) {
    std::unique_ptr<AdvanceWorker> worker(
        new AdvanceWorker(name, wrap, std::move(engine), std::move(request), std::move(cancelled)));
    const Napi::Promise promise = worker->deferred_.Promise();
    worker->Queue();
    worker.release();  // it deletes itself when done
    return promise;
  }

 protected:
  void Execute() override {
    try {
      result_ = engine_->advance(request_, *cancelled_);
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  // The engine is idle again before the promise settles, so its reactions may go on at once.
  void OnOK() override {
    engine_.reset();
    wrap_.end_async();
    if (failure_) {
      deferred_.Reject(to_js_error(Env(), failure_).Value());
    } else {
      deferred_.Resolve(to_js(Env(), std::move(*result_)));
    }
  }

 private:
  using Result =
      decltype(std::declval<Engine&>().advance(std::declval<Request&>(), std::declval<std::atomic<bool>&>()));

  AdvanceWorker(const char* name, Wrap& wrap, std::shared_ptr<Engine> engine, Request request,
                std::shared_ptr<std::atomic<bool>> cancelled)
      : Napi::AsyncWorker(wrap.Env(), name),
        wrap_(wrap),
        held_(Napi::Persistent(wrap.Value())),
        engine_(std::move(engine)),
        request_(std::move(request)),
        cancelled_(std::move(cancelled)),
        deferred_(wrap.Env()) {}

  Wrap& wrap_;
  Napi::ObjectReference held_;
  std::shared_ptr<Engine> engine_;
  Request request_;
  std::shared_ptr<std::atomic<bool>> cancelled_;
  Napi::Promise::Deferred deferred_;
  std::optional<Result> result_;
  std::exception_ptr failure_;
};

}  // namespace octavo::binding
