// The exports of octavo.node; native/addon.ts is their contract.
#include <napi.h>

#include <limits>
#include <utility>
#include <vector>

#include "binding/addon_data.h"
#include "binding/arguments.h"
#include "binding/batch_wrap.h"
#include "binding/guard.h"
#include "binding/model_wrap.h"
#include "binding/session_wrap.h"
#include "binding/specs.h"
#include "binding/views.h"
#include "core/check.h"
#include "session/engine.h"

namespace octavo::binding {

namespace {

constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();

Napi::Value js_engine_info(const Napi::CallbackInfo& call) {
  const EngineInfo engine = engine_info();
  Napi::Object cuda = Napi::Object::New(call.Env());
  cuda.Set("compiled", engine.cuda_compiled);
  cuda.Set("numDevices", engine.num_cuda_devices);
  Napi::Object info = Napi::Object::New(call.Env());
  info.Set("version", engine.version);
  info.Set("simd", engine.simd);
  info.Set("gemm", engine.gemm);
  info.Set("numThreads", engine.num_threads);
  info.Set("cuda", cuda);
  return info;
}

Napi::Value js_set_num_threads(const Napi::CallbackInfo& call) {
  set_num_threads(static_cast<int>(to_integer(call[0], "numThreads", 1, 256)));
  return call.Env().Undefined();
}

Napi::Value js_open_model(const Napi::CallbackInfo& call) {
  const LlamaConfig config = to_llama_config(call[0]);
  const std::vector<WeightSource> sources = to_weight_sources(call[1]);
  return ModelWrap::create(call.Env(), open_model(config, sources));
}

Napi::Value js_random_model(const Napi::CallbackInfo& call) {
  const LlamaConfig config = to_llama_config(call[0]);
  const int64_t seed = to_integer(call[1], "seed", 0, kMaxSafeInteger);
  return ModelWrap::create(call.Env(), make_random_model(config, static_cast<uint64_t>(seed)));
}

Napi::Float32Array float32s(const Fields& fields, const char* field) {
  const Napi::Value value = fields.value(field);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array) {
    fail_argument("a Float32Array", fields.path(field), value);
  }
  return value.As<Napi::Float32Array>();
}

Napi::Value js_paged_attention(const Napi::CallbackInfo& call) {
  const Fields fields(call[0], "request");
  PagedAttentionCall request{};
  request.num_query_heads = fields.integer32("numQueryHeads", 1, kMaxInt32);
  request.num_kv_heads = fields.integer32("numKvHeads", 1, kMaxInt32);
  request.head_dim = fields.integer32("headDim", 1, kMaxInt32);
  request.block_size = fields.integer32("blockSize", 1, kMaxInt32);
  request.block_table = fields.int32s("blockTable");
  request.kv_len = fields.integer("kvLen", 1, kMaxSafeInteger);
  request.scale = static_cast<float>(fields.number("scale"));
  const Napi::Value query = float32s(fields, "query");
  const Napi::Value key_cache = float32s(fields, "keyCache");
  const Napi::Value value_cache = float32s(fields, "valueCache");
  // Looked at anew, now that no getter can detach a buffer any more.
  const auto view = [](const Napi::Value& value, const float*& data, int64_t& size) {
    const auto array = value.As<Napi::Float32Array>();
    data = array.Data();
    size = data == nullptr ? 0 : static_cast<int64_t>(array.ElementLength());
  };
  view(query, request.query, request.query_size);
  view(key_cache, request.key_cache, request.key_cache_size);
  view(value_cache, request.value_cache, request.value_cache_size);
  return to_typed_array(call.Env(), paged_attention_on_arrays(request));
}

template <Napi::Value (*kFunction)(const Napi::CallbackInfo&)>
napi_property_descriptor function(const char* name) {
  napi_property_descriptor descriptor{};
  descriptor.utf8name = name;
  descriptor.method = &call_function<kFunction>;
  descriptor.attributes = napi_enumerable;
  return descriptor;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* data = new AddonData;
  env.SetInstanceData(data);
  data->model_class = Napi::Persistent(ModelWrap::define(env));
  data->session_class = Napi::Persistent(SessionWrap::define(env));
  data->batch_class = Napi::Persistent(BatchWrap::define(env));
  const std::vector<napi_property_descriptor> functions = {
      function<js_engine_info>("engineInfo"),         function<js_set_num_threads>("setNumThreads"),
      function<js_open_model>("openModel"),           function<js_random_model>("randomModel"),
      function<js_paged_attention>("pagedAttention"),
  };
  if (napi_define_properties(env, exports, functions.size(), functions.data()) != napi_ok) {
    throw Napi::Error::New(env);
  }
  return exports;
}

}  // namespace

NODE_API_MODULE(octavo, init)

}  // namespace octavo::binding
