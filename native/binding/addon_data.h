// What one JavaScript context keeps: the addon has no globals of its own, so each worker thread has its
// classes.
#pragma once

#include <napi.h>

#include <memory>

#include "model/llama.h"
#include "session/batch.h"
#include "session/session.h"

namespace octavo::binding {

struct AddonData {
  Napi::FunctionReference model_class;
  Napi::FunctionReference session_class;
  Napi::FunctionReference batch_class;
  // Handed to the constructor that is about to run; empty when JavaScript calls it by itself, which is
  // refused.
  std::shared_ptr<const LlamaModel> new_model;
  std::shared_ptr<Session> new_session;
  std::shared_ptr<const bool> new_session_batch;  // of the sequence of a batch: whether that is busy
  std::shared_ptr<Batch> new_batch;
};

}  // namespace octavo::binding
