// Native memory seen from JavaScript without a copy. Each buffer holds a share of the memory until it is
// collected.
#pragma once

#include <napi.h>

#include <map>
#include <memory>
#include <vector>

#include "core/tensor.h"
#include "session/batch_events.h"
#include "trace/recorder.h"

namespace octavo::binding {

// Buffers over tensors, one for each memory: making one again and again would cost a finalizer each time.
// Belongs to one wrapped object, on its thread.
class TensorViews {
 public:
  // { buffer, dtype, shape } of the contract. Throws ERR_OCTAVO_MEMORY from 4 GiB on, the most a buffer can
  // show.
  Napi::Object view(Napi::Env env, const Tensor& tensor);

 private:
  Napi::ArrayBuffer buffer(Napi::Env env, const Tensor& tensor);

  std::map<const void*, Napi::Reference<Napi::ArrayBuffer>> buffers_;  // weak
};

// A typed array over the vector's own memory, which V8 is told of.
template <typename T>
Napi::Value to_typed_array(Napi::Env env, std::vector<T>&& numbers);

Napi::Object to_js(Napi::Env env, TraceTables&& tables);
Napi::Object to_js(Napi::Env env, RequestColumns&& columns);
Napi::Object to_js(Napi::Env env, BatchStepColumns&& columns);

}  // namespace octavo::binding
