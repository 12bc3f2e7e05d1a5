// The exports of octavo_lane.node, which the kernel's two processes hand large buffers to each other with;
// native/lane.ts is their contract. A module of its own, as a front process must not load the engine. A
// lane's file can grow but not shrink: its memory is mapped, and a cell that could cut it off would end the
// front process.
#include <fcntl.h>
#include <malloc.h>
#include <napi.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace octavo::binding {

namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_SEAL;
// What malloc keeps of freed memory while large buffers pass, and otherwise; a block of more than that has a
// mapping of its own.
constexpr int kKeptBytes = 1 << 30;
constexpr int kUsualKeptBytes = 8 << 20;

// Memory of a lane's file; owned by its JavaScript handle, which may let go of it earlier.
struct LaneMap {
  char* data = nullptr;
  size_t size_bytes = 0;

  LaneMap() = default;
  LaneMap(const LaneMap&) = delete;
  LaneMap& operator=(const LaneMap&) = delete;
  ~LaneMap() { unmap(); }

  void unmap() {
    if (data != nullptr) munmap(data, size_bytes);
    data = nullptr;
    size_bytes = 0;
  }
};

[[noreturn]] void fail(napi_env env, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", "ERR_OCTAVO_LANE");
  throw error;
}

[[noreturn]] void fail_system(napi_env env, const std::string& expected) {
  fail(env, "Expected " + expected + " but received " + std::strerror(errno));
}

// File size as a number that is exact in JavaScript, or -1.
int64_t to_bytes(const Napi::Value& value) {
  constexpr double kMaxSafeInteger = 9007199254740991.0;
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  return number >= 0 && number <= kMaxSafeInteger &&
                 number == static_cast<double>(static_cast<int64_t>(number))
             ? static_cast<int64_t>(number)
             : -1;
}

int to_descriptor(const Napi::CallbackInfo& call) {
  if (!call[0].IsNumber()) fail(call.Env(), "Expected a file descriptor");
  return call[0].As<Napi::Number>().Int32Value();
}

Napi::Value js_open(const Napi::CallbackInfo& call) {
  const int64_t size_bytes = to_bytes(call[0]);
  if (size_bytes < 0) fail(call.Env(), "Expected a size in bytes");
  const int descriptor = memfd_create("octavo-lane", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) fail_system(call.Env(), "a file in memory");
  if (ftruncate(descriptor, size_bytes) != 0 || fcntl(descriptor, F_ADD_SEALS, kSeals) != 0) {
    const int reason = errno;
    close(descriptor);
    errno = reason;
    fail_system(call.Env(), "a sealed file of " + std::to_string(size_bytes) + " bytes");
  }
  return Napi::Number::New(call.Env(), descriptor);
}

Napi::Value js_map(const Napi::CallbackInfo& call) {
  const int descriptor = to_descriptor(call);
  const int seals = fcntl(descriptor, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) fail(call.Env(), "Expected a file that cannot shrink");
  struct stat status {};
  if (fstat(descriptor, &status) != 0 || status.st_size == 0)
    fail(call.Env(), "Expected a file that holds bytes");
  const auto size_bytes = static_cast<size_t>(status.st_size);
  void* data = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor, 0);
  if (data == MAP_FAILED)
    fail_system(call.Env(), "room for a mapping of " + std::to_string(size_bytes) + " bytes");
  auto* map = new LaneMap;
  map->data = static_cast<char*>(data);
  map->size_bytes = size_bytes;
  return Napi::External<LaneMap>::New(call.Env(), map, [](Napi::Env, LaneMap* owned) { delete owned; });
}

LaneMap& to_map(const Napi::CallbackInfo& call) {
  if (!call[0].IsExternal()) fail(call.Env(), "Expected a lane's memory");
  return *call[0].As<Napi::External<LaneMap>>().Data();
}

enum class Direction { kIntoLane, kOutOfLane };

// (map, position, bytes): copies all bytes of the array, or nothing and gives false where the lane's memory
// ends before.
template <Direction kDirection>
Napi::Value js_copy(const Napi::CallbackInfo& call) {
  const LaneMap& map = to_map(call);
  const int64_t position = to_bytes(call[1]);
  if (!call[2].IsTypedArray() || call[2].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    fail(call.Env(), "Expected a Uint8Array");
  }
  auto array = call[2].As<Napi::Uint8Array>();
  const size_t size_bytes = array.ByteLength();
  const bool fits = position >= 0 && static_cast<uint64_t>(position) <= map.size_bytes &&
                    size_bytes <= map.size_bytes - static_cast<size_t>(position);
  if (fits && size_bytes > 0) {
    char* lane = map.data + position;
    if (kDirection == Direction::kIntoLane) std::memcpy(lane, array.Data(), size_bytes);
    if (kDirection == Direction::kOutOfLane) std::memcpy(array.Data(), lane, size_bytes);
  }
  return Napi::Boolean::New(call.Env(), fits);
}

Napi::Value js_unmap(const Napi::CallbackInfo& call) {
  to_map(call).unmap();
  return call.Env().Undefined();
}

Napi::Value js_free_pages(const Napi::CallbackInfo& call) {
  const int descriptor = to_descriptor(call);
  const int64_t from = to_bytes(call[1]);
  struct stat status {};
  if (from < 0 || fstat(descriptor, &status) != 0) fail(call.Env(), "Expected a lane and a position in it");
  if (from < status.st_size &&
      fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, status.st_size - from) != 0) {
    fail_system(call.Env(), "to free a lane's memory");
  }
  return call.Env().Undefined();
}

// malloc gives blocks of 64 MiB back to the system at once otherwise, and the next takes longer to become
// resident than to be copied.
Napi::Value js_keep_freed(const Napi::CallbackInfo& call) {
  const int kept_bytes = call[0].ToBoolean() ? kKeptBytes : kUsualKeptBytes;
  mallopt(M_MMAP_THRESHOLD, kept_bytes);
  mallopt(M_TRIM_THRESHOLD, kept_bytes);
  return call.Env().Undefined();
}

Napi::Value js_trim(const Napi::CallbackInfo& call) {
  malloc_trim(0);
  return call.Env().Undefined();
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("open", Napi::Function::New(env, js_open, "open"));
  exports.Set("map", Napi::Function::New(env, js_map, "map"));
  exports.Set("put", Napi::Function::New(env, js_copy<Direction::kIntoLane>, "put"));
  exports.Set("get", Napi::Function::New(env, js_copy<Direction::kOutOfLane>, "get"));
  exports.Set("unmap", Napi::Function::New(env, js_unmap, "unmap"));
  exports.Set("freePages", Napi::Function::New(env, js_free_pages, "freePages"));
  exports.Set("keepFreed", Napi::Function::New(env, js_keep_freed, "keepFreed"));
  exports.Set("trim", Napi::Function::New(env, js_trim, "trim"));
  return exports;
}

}  // namespace

NODE_API_MODULE(octavo_lane, init)

}  // namespace octavo::binding
