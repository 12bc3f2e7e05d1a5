// NativeBatch of the contract. While an asynchronous advance is under way the batch and its sequences belong
// to its thread: calls that would look inside throw ERR_OCTAVO_BUSY; add, cancel and stop go through.
#pragma once

#include <napi.h>

#include <atomic>
#include <memory>

#include "session/batch.h"

namespace octavo::binding {

class BatchWrap : public Napi::ObjectWrap<BatchWrap> {
 public:
  static constexpr napi_type_tag kTypeTag = {0x9c07d4be52a1469f, 0xa6338f10c2de7b45};
  static constexpr const char* kClassName = "NativeBatch";

  static Napi::Function define(Napi::Env env);
  static Napi::Value create(Napi::Env env, std::shared_ptr<Batch> batch);

  // For create only: JavaScript has nothing to give it.
  explicit BatchWrap(const Napi::CallbackInfo& info);
  ~BatchWrap() override;

  // The asynchronous advance is over. On the main thread.
  void end_async();

 private:
  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value take_snapshot(const Napi::CallbackInfo& info);
  Napi::Value rewind(const Napi::CallbackInfo& info);
  Napi::Value fork(const Napi::CallbackInfo& info);
  Napi::Value cancel(const Napi::CallbackInfo& info);
  Napi::Value advance(const Napi::CallbackInfo& info);
  Napi::Value advance_async(const Napi::CallbackInfo& info);
  Napi::Value stop(const Napi::CallbackInfo& info);
  Napi::Value busy(const Napi::CallbackInfo& info);
  Napi::Value requests(const Napi::CallbackInfo& info);
  Napi::Value take_steps(const Napi::CallbackInfo& info);
  Napi::Value failure(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  Napi::Value to_sequence(Napi::Env env, Batch::Added added);
  // Throws ERR_OCTAVO_CLOSED after dispose.
  Batch& open_batch() const;
  // Throws ERR_OCTAVO_BUSY too.
  Batch& idle_batch() const;
  void release(Napi::BasicEnv env);

  std::shared_ptr<Batch> batch_;
  std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<bool> busy_ = std::make_shared<bool>(false);  // also looked at by its sequences
  bool closed_ = false;
  int64_t external_bytes_ = 0;  // told to V8
};

}  // namespace octavo::binding
