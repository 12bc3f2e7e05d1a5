// The session is idle again before the promise settles, so its reactions may go on at once.
#include "binding/advance_worker.h"

#include <utility>

#include "binding/guard.h"
#include "binding/results.h"
#include "binding/session_wrap.h"

namespace octavo::binding {

AdvanceWorker::AdvanceWorker(Napi::Env env, SessionWrap& wrap, std::shared_ptr<Session> session,
                             AdvanceRequest request, std::shared_ptr<std::atomic<bool>> cancelled)
    : Napi::AsyncWorker(env, "octavo.advance"),
      wrap_(wrap),
      held_(Napi::Persistent(wrap.Value())),
      session_(std::move(session)),
      request_(std::move(request)),
      cancelled_(std::move(cancelled)),
      deferred_(env) {}

void AdvanceWorker::Execute() {
  try {
    result_ = session_->advance(request_, *cancelled_);
  } catch (...) {
    failure_ = std::current_exception();
  }
}

void AdvanceWorker::OnOK() {
  session_.reset();
  wrap_.end_async();
  if (failure_) {
    deferred_.Reject(to_js_error(Env(), failure_).Value());
  } else {
    deferred_.Resolve(to_js(Env(), std::move(*result_)));
  }
}

}  // namespace octavo::binding
