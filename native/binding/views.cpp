// Small columns are copied all the same: below about a kilobyte the copy is cheaper than a finalizer.
#include "binding/views.h"

#include <cstring>
#include <type_traits>
#include <utility>

#include "core/check.h"

namespace octavo::binding {

namespace {

constexpr size_t kMaxBufferBytes = (size_t{1} << 32) - 1;
constexpr size_t kCopiedBytes = 1024;

template <typename T>
constexpr napi_typedarray_type typed_array_type() {
  if constexpr (std::is_same_v<T, float>) return napi_float32_array;
  if constexpr (std::is_same_v<T, double>) return napi_float64_array;
  if constexpr (std::is_same_v<T, uint8_t>) return napi_uint8_array;
  if constexpr (std::is_same_v<T, int32_t>) return napi_int32_array;
}

template <typename T>
Napi::ArrayBuffer to_buffer(Napi::Env env, std::vector<T>&& numbers) {
  const size_t size_bytes = numbers.size() * sizeof(T);
  if (size_bytes > kMaxBufferBytes) {
    throw Error("ERR_OCTAVO_MEMORY", "Expected a trace column below 4 GiB but it has " +
                                         std::to_string(size_bytes) + " bytes; take the trace more often");
  }
  if (size_bytes <= kCopiedBytes) {
    Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, size_bytes);
    if (size_bytes > 0) std::memcpy(buffer.Data(), numbers.data(), size_bytes);
    return buffer;
  }
  auto owner = std::make_unique<std::vector<T>>(std::move(numbers));
  const auto held = static_cast<int64_t>(owner->capacity() * sizeof(T));
  void* data = owner->data();
  Napi::MemoryManagement::AdjustExternalMemory(env, held);
  // Once New is entered the finalizer owns the vector, also when New throws.
  return Napi::ArrayBuffer::New(
      env, data, size_bytes,
      [held](Napi::BasicEnv env, void*, std::vector<T>* vector) {
        delete vector;
        Napi::MemoryManagement::AdjustExternalMemory(env, -held);
      },
      owner.release());
}

// Fills an object of columns, in the schema's order.
struct ColumnWriter {
  Napi::Env env;
  Napi::Object columns;

  template <typename T>
  void operator()(const char* name, std::vector<T>& column) {
    columns.Set(name, to_typed_array(env, std::move(column)));
  }

  template <typename T>
  void operator()(const char* name, ListColumn<T>& column) {
    Napi::Object list = Napi::Object::New(env);
    list.Set("offsets", to_typed_array(env, std::move(column.offsets)));
    list.Set("values", to_typed_array(env, std::move(column.values)));
    columns.Set(name, list);
  }
};

template <typename Columns>
Napi::Object to_columns(Napi::Env env, Columns& columns) {
  ColumnWriter writer{env, Napi::Object::New(env)};
  columns.visit(writer);
  return writer.columns;
}

}  // namespace

template <typename T>
Napi::Value to_typed_array(Napi::Env env, std::vector<T>&& numbers) {
  const size_t length = numbers.size();
  const Napi::ArrayBuffer buffer = to_buffer(env, std::move(numbers));
  return Napi::TypedArrayOf<T>::New(env, length, buffer, 0, typed_array_type<T>());
}

template Napi::Value to_typed_array(Napi::Env env, std::vector<int32_t>&& numbers);
template Napi::Value to_typed_array(Napi::Env env, std::vector<float>&& numbers);
template Napi::Value to_typed_array(Napi::Env env, std::vector<double>&& numbers);

Napi::Object to_js(Napi::Env env, TraceTables&& tables) {
  Napi::Object trace = Napi::Object::New(env);
  trace.Set("steps", to_columns(env, tables.steps));
  trace.Set("blocks", to_columns(env, tables.blocks));
  trace.Set("evictions", to_columns(env, tables.evictions));
  trace.Set("memory", to_columns(env, tables.memory));
  trace.Set("logits", to_columns(env, tables.logits));
  return trace;
}

Napi::Object to_js(Napi::Env env, RequestColumns&& columns) { return to_columns(env, columns); }
Napi::Object to_js(Napi::Env env, BatchStepColumns&& columns) { return to_columns(env, columns); }

Napi::Object TensorViews::view(Napi::Env env, const Tensor& tensor) {
  Napi::Array shape = Napi::Array::New(env, tensor.shape.size());
  for (size_t axis = 0; axis < tensor.shape.size(); ++axis) {
    shape.Set(static_cast<uint32_t>(axis), static_cast<double>(tensor.shape[axis]));
  }
  Napi::Object view = Napi::Object::New(env);
  view.Set("buffer", buffer(env, tensor));
  view.Set("dtype", dtype_name(tensor.dtype));
  view.Set("shape", shape);
  return view;
}

Napi::ArrayBuffer TensorViews::buffer(Napi::Env env, const Tensor& tensor) {
  Napi::Reference<Napi::ArrayBuffer>& reference = buffers_[tensor.data];
  if (!reference.IsEmpty()) {
    Napi::ArrayBuffer buffer = reference.Value();
    // Empty when collected; detached when JavaScript transferred it away.
    if (!buffer.IsEmpty() && !buffer.IsDetached() && buffer.ByteLength() == tensor.size_bytes())
      return buffer;
  }
  if (tensor.size_bytes() > kMaxBufferBytes) {
    throw Error("ERR_OCTAVO_MEMORY", "Expected a tensor below 4 GiB to look at but this one has " +
                                         std::to_string(tensor.size_bytes()) + " bytes");
  }
  auto owner = std::make_unique<std::shared_ptr<void>>(tensor.memory);
  const Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(
      env, tensor.data, tensor.size_bytes(),
      [](Napi::BasicEnv, void*, std::shared_ptr<void>* memory) { delete memory; }, owner.release());
  reference = Napi::Reference<Napi::ArrayBuffer>::New(buffer, 0);
  return buffer;
}

}  // namespace octavo::binding
