// NativeSession of the contract. While an asynchronous advance is under way the session belongs to its
// thread: every call that would look inside throws ERR_OCTAVO_BUSY, and dispose waits for its end.
#pragma once

#include <napi.h>

#include <atomic>
#include <memory>
#include <optional>

#include "binding/views.h"
#include "session/session.h"

namespace octavo::binding {

class SessionWrap : public Napi::ObjectWrap<SessionWrap> {
 public:
  static constexpr napi_type_tag kTypeTag = {0x3be49f2061d74c58, 0xb7250a8ef316cd94};
  static constexpr const char* kClassName = "NativeSession";

  static Napi::Function define(Napi::Env env);
  // batch_busy: of a batch's sequence, whether the batch is at work; such a session can only be looked at.
  static Napi::Value create(Napi::Env env, std::shared_ptr<Session> session,
                            std::shared_ptr<const bool> batch_busy = nullptr);

  // For create only: JavaScript has nothing to give it.
  explicit SessionWrap(const Napi::CallbackInfo& info);
  ~SessionWrap() override;

  // The asynchronous advance is over. On the main thread.
  void end_async();

 private:
  Napi::Value prefill(const Napi::CallbackInfo& info);
  Napi::Value advance(const Napi::CallbackInfo& info);
  Napi::Value advance_async(const Napi::CallbackInfo& info);
  Napi::Value cancel(const Napi::CallbackInfo& info);
  Napi::Value num_tokens(const Napi::CallbackInfo& info);
  Napi::Value busy(const Napi::CallbackInfo& info);
  Napi::Value inside_step(const Napi::CallbackInfo& info);
  Napi::Value tokens(const Napi::CallbackInfo& info);
  Napi::Value logits(const Napi::CallbackInfo& info);
  Napi::Value layer_cache(const Napi::CallbackInfo& info);
  Napi::Value layer_state(const Napi::CallbackInfo& info);
  Napi::Value take_trace(const Napi::CallbackInfo& info);
  Napi::Value step_rows(const Napi::CallbackInfo& info);
  Napi::Value take_snapshot(const Napi::CallbackInfo& info);
  Napi::Value drop_snapshot(const Napi::CallbackInfo& info);
  Napi::Value rewind(const Napi::CallbackInfo& info);
  Napi::Value rewind_points(const Napi::CallbackInfo& info);
  Napi::Value fork(const Napi::CallbackInfo& info);
  Napi::Value attention_pattern(const Napi::CallbackInfo& info);
  Napi::Value scoring_inputs(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  // Throws ERR_OCTAVO_CLOSED after dispose.
  Session& open_session() const;
  // Throws ERR_OCTAVO_BUSY too.
  Session& idle_session() const;
  // Throws ERR_OCTAVO_BATCH too for a sequence of a batch, which alone may change it.
  Session& own_session() const;
  void release(Napi::BasicEnv env);

  std::shared_ptr<Session> session_;
  std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<const bool> batch_busy_;
  bool busy_ = false;
  bool closed_ = false;
  int64_t external_bytes_ = 0;           // told to V8
  std::optional<AdvanceRequest> asked_;  // last, off the main thread, if it can be asked again
  TensorViews views_;
};

}  // namespace octavo::binding
