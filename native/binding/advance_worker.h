// One asynchronous advance: runs on a thread of libuv's pool, settles its promise on the main thread. Holds
// the session and its JavaScript object, so neither can go meanwhile.
#pragma once

#include <napi.h>

#include <atomic>
#include <exception>
#include <memory>
#include <optional>

#include "session/session.h"

namespace octavo::binding {

class SessionWrap;

class AdvanceWorker : public Napi::AsyncWorker {
 public:
  AdvanceWorker(Napi::Env env, SessionWrap& wrap, std::shared_ptr<Session> session, AdvanceRequest request,
                std::shared_ptr<std::atomic<bool>> cancelled);

  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override;
  void OnOK() override;

 private:
  SessionWrap& wrap_;
  Napi::ObjectReference held_;
  std::shared_ptr<Session> session_;
  AdvanceRequest request_;
  std::shared_ptr<std::atomic<bool>> cancelled_;
  Napi::Promise::Deferred deferred_;
  std::optional<AdvanceResult> result_;
  std::exception_ptr failure_;
};

}  // namespace octavo::binding
