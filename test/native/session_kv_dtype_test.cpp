// Sessions whose caches hold bf16 or f16: what is stored, what is recorded, and time travel.
#include "core/half.h"
#include "session_runs.h"
#include "test.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr DType kNarrow[] = {DType::kBf16, DType::kF16};

SessionConfig config_of(const std::string& policy, DType dtype) {
  SessionConfig config = session_config(policy, 4, 16);
  config.kv_dtype = dtype;
  config.history = 40;
  return config;
}

std::unique_ptr<Session> prefilled(const TinyLlama& tiny, const SessionConfig& config) {
  auto session = std::make_unique<Session>(tiny.open(), config);
  session->prefill(some_tokens(21, 3));
  advance(*session, steps(1));
  return session;
}

}  // namespace

TEST("layer 0 holds what an fp32 cache holds, rounded to nearest even; later layers see that") {
  const TinyLlama tiny(5);
  const auto exact = prefilled(tiny, config_of("full", DType::kF32));
  for (const DType dtype : kNarrow) {
    const auto session = prefilled(tiny, config_of("full", dtype));
    for (int layer = 0; layer < tiny.config.num_layers; ++layer) {
      const KvCache& cache = session->layer_cache(layer);
      const KvCache& reference = exact->layer_cache(layer);
      REQUIRE(cache.keys().dtype == dtype && cache.values().dtype == dtype);
      REQUIRE_EQUAL(cache.table().num_slots(), int64_t{21});
      std::vector<float> wide(6), before(6);
      int num_changed = 0;
      for (int64_t slot = 0; slot < 21; ++slot)
        for (int head = 0; head < 2; ++head)
          for (const bool of_key : {true, false}) {
            of_key ? cache.read_key(slot, head, wide.data()) : cache.read_value(slot, head, wide.data());
            of_key ? reference.read_key(slot, head, before.data())
                   : reference.read_value(slot, head, before.data());
            for (size_t i = 0; i < 6; ++i)
              num_changed += wide[i] == (dtype == DType::kBf16 ? widen_bf16(narrow_to_bf16(before[i]))
                                                               : widen_f16(narrow_to_f16(before[i])))
                                 ? 0
                                 : 1;
          }
      REQUIRE_EQUAL(num_changed > 0, layer > 0);
    }
  }
}

TEST("decoding stays near that of an fp32 cache, and is not the same") {
  const TinyLlama tiny(5);
  AdvanceRequest request = steps(12);
  request.forced_tokens = some_tokens(12, 9);
  const auto exact = prefilled(tiny, config_of("full", DType::kF32));
  advance(*exact, request);
  for (const DType dtype : kNarrow) {
    const auto session = prefilled(tiny, config_of("full", dtype));
    advance(*session, request);
    const std::vector<float> logits = logits_of(*session), expected = logits_of(*exact);
    const Difference found = difference(logits.data(), expected.data(), static_cast<int64_t>(logits.size()));
    std::printf("     %-5s rel-L2 of the logits %.2e\n", dtype_name(dtype), found.relative_l2);
    REQUIRE(found.comparable && found.relative_l2 <= (dtype == DType::kBf16 ? 4e-2 : 5e-3));
    REQUIRE(found.relative_l2 > 1e-6);
  }
}

TEST("a prompt attends to what its cache holds: fed token by token it comes to the same") {
  const TinyLlama tiny(5);
  const std::vector<int32_t> prompt = some_tokens(40, 3);
  for (const DType dtype : kNarrow) {
    Session whole(tiny.open(), config_of("full", dtype)), fed(tiny.open(), config_of("full", dtype));
    whole.prefill(prompt);
    advance(whole, steps(1));
    fed.prefill({prompt.front()});
    AdvanceRequest request = steps(40);
    request.forced_tokens.assign(prompt.begin() + 1, prompt.end());
    advance(fed, request);
    const std::vector<float> logits = logits_of(whole), expected = logits_of(fed);
    const Difference found = difference(logits.data(), expected.data(), static_cast<int64_t>(logits.size()));
    std::printf("     %-5s rel-L2 of the logits %.2e\n", dtype_name(dtype), found.relative_l2);
    REQUIRE(found.comparable && found.relative_l2 <= 1e-4);
  }
}

TEST("every policy: going back and on again gives the same bits") {
  const TinyLlama tiny(6);
  for (const DType dtype : kNarrow)
    for (const std::string& policy : native_policy_names()) {
      const auto session = prefilled(tiny, config_of(policy, dtype));
      advance(*session, steps(10));
      const int64_t snapshot = session->take_snapshot();
      advance(*session, steps(15));
      const std::vector<float> expected = logits_of(*session);
      const auto fork = [&] {
        session->rewind_to_snapshot(snapshot);
        return session->fork({});
      }();
      for (Session* again : {session.get(), fork.get()}) {
        advance(*again, steps(15));
        const std::vector<float> logits = logits_of(*again);
        REQUIRE(std::memcmp(logits.data(), expected.data(), logits.size() * sizeof(float)) == 0);
      }
    }
}

TEST("the trace counts two bytes a number, and the pattern is a distribution over the rounded keys") {
  const TinyLlama tiny(7);
  for (const DType dtype : {DType::kF32, DType::kBf16, DType::kF16}) {
    const auto session = prefilled(tiny, config_of("full", dtype));
    advance(*session, steps(3));
    const TraceTables trace = session->take_trace();
    const double bytes = dtype == DType::kF32 ? 4 : 2;
    REQUIRE_EQUAL(static_cast<double>(trace.memory.live_bytes.back()),
                  static_cast<double>(trace.memory.live_tokens.back()) * 2 * bytes * 2 * 6);
    const std::vector<float> pattern = session->attention_pattern(1);
    const auto num_slots = static_cast<size_t>(session->layer_cache(1).table().num_slots());
    REQUIRE_EQUAL(pattern.size(), 4 * num_slots);
    for (size_t head = 0; head < 4; ++head) {
      double sum = 0;
      for (size_t slot = 0; slot < num_slots; ++slot) sum += pattern[head * num_slots + slot];
      REQUIRE(std::fabs(sum - 1) < 1e-5);
    }
  }
}

TEST("a key beyond the reach of f16 fails the step; bf16 reaches as far as fp32") {
  TinyLlama tiny(8);
  for (float& weight : tiny.weights["model.layers.1.self_attn.k_proj.weight"]) weight *= 1e6F;
  for (const DType dtype : {DType::kF32, DType::kBf16}) prefilled(tiny, config_of("full", dtype));
  REQUIRE_ERROR("ERR_OCTAVO_NAN", prefilled(tiny, config_of("full", DType::kF16)));
}

TEST("integers are no cache") {
  const TinyLlama tiny(8);
  REQUIRE_ERROR("ERR_OCTAVO_DTYPE", Session(tiny.open(), config_of("full", DType::kI32)));
}
