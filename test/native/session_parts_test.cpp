// Prompts that run through the layers in parts: the bits are those of the prompt taken whole, which a stop
// after layers makes of it; prompts that are scored or cut, a layer's slices one after another, against
// float64; a part that fails or is cancelled leaves what the whole would.
#include <chrono>
#include <cmath>
#include <thread>

#include "policy_oracle.h"
#include "session/step.h"
#include "session_runs.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr int kBlockSize = 16;
constexpr int64_t kLongest = 2 * kTokensPerPart + 452;

TinyLlama long_llama(unsigned seed) {
  TinyLlama tiny(seed);
  tiny.config.max_positions = 4 * kTokensPerPart;
  return tiny;
}

SessionConfig config_of(const std::string& policy, DType dtype) {
  SessionConfig config = session_config(policy, kBlockSize, kLongest / kBlockSize * kBlockSize + kBlockSize);
  config.num_blocks = static_cast<int>(kLongest / kBlockSize) + 8;
  config.kv_dtype = dtype;
  return config;
}

void prefill_whole(Session& session, const std::vector<int32_t>& prompt) {
  session.prefill(prompt);
  AdvanceRequest request = steps(1);
  request.stop.layer_end = true;
  int num_stops = 0;
  while (advance(session, request).event) ++num_stops;
  REQUIRE_EQUAL(num_stops, session.model_config().num_layers);
}

}  // namespace

TEST("cache, logits, trace and what follows have the bits of the prompt taken whole") {
  const TinyLlama tiny = long_llama(3);
  const auto model = tiny.open();
  for (const DType dtype : {DType::kF32, DType::kBf16, DType::kF16})
    for (const int64_t length : {kTokensPerPart, kTokensPerPart + 1, 2 * kTokensPerPart, kLongest})
      for (const char* policy : {"full", "streaming-llm", "random"}) {
        const bool per_head = std::string(policy) == "random";
        SessionConfig config = config_of(policy, dtype);
        if (per_head) config.policy.heads = Heads::kPerHead;
        const std::vector<int32_t> prompt = some_tokens(length, 5);
        Session parts(model, config), whole(model, config);
        parts.prefill(prompt);
        REQUIRE_EQUAL(static_cast<int>(advance(parts, steps(1)).num_steps), 1);
        prefill_whole(whole, prompt);
        REQUIRE(logits_of(parts) == logits_of(whole));
        for (int layer = 0; layer < tiny.config.num_layers; ++layer)
          REQUIRE(parts.attention_pattern(layer) == whole.attention_pattern(layer));
        for (Session* session : {&parts, &whole}) advance(*session, steps(20, 1.0));
        REQUIRE(logits_of(parts) == logits_of(whole));
        REQUIRE(parts.tokens() == whole.tokens());
        REQUIRE(state_of(parts) == state_of(whole));
        REQUIRE(bytes_of(parts.take_trace()) == bytes_of(whole.take_trace()));
      }
}

TEST("a policy that scores or cuts the prompt takes it whole, with the same bits where nothing goes") {
  const TinyLlama tiny = long_llama(3);
  const auto model = tiny.open();
  const std::vector<int32_t> prompt = some_tokens(kLongest, 5);
  for (const DType dtype : {DType::kF32, DType::kBf16}) {
    Session full(model, config_of("full", dtype));
    full.prefill(prompt);
    advance(full, steps(1));
    for (const char* policy : {"paged-eviction", "key-diff", "h2o"}) {
      Session scored(model, config_of(policy, dtype));
      scored.prefill(prompt);
      advance(scored, steps(1));
      REQUIRE(logits_of(scored) == logits_of(full));
      REQUIRE(!std::isnan(scored.layer_state(2).scores.front()));
    }
    SessionConfig config = config_of("streaming-llm", dtype);
    config.policy.budget = 20 * kBlockSize;
    Session cut(model, config);
    cut.prefill(prompt);
    advance(cut, steps(1));
    REQUIRE(logits_of(cut) == logits_of(full));
    REQUIRE_EQUAL(cut.layer_state(1).kv_len, int64_t{20 * kBlockSize});
  }
}

TEST("tokens of a prompt longer than a slice are scored and go as by float64") {
  constexpr int kLength = kTokensPerPart + 20, kWindow = 64;  // the window lies in both slices
  constexpr int64_t kBudget = 20 * kBlockSize;
  const TinyLlama tiny = long_llama(9);
  const auto model = tiny.open();
  const std::vector<int32_t> prompt = some_tokens(kLength, 5);
  std::vector<TinyLlama::Captured> captured;
  tiny.forward(
      prompt, [](int, int query, int key) { return key <= query; }, &captured);
  for (const std::string policy : {"snap-kv", "h2o", "key-diff", "paged-eviction"}) {
    SessionConfig config = config_of(policy, DType::kF32);
    config.policy.budget = kBudget;
    if (policy == "snap-kv") config.policy.window = kWindow;
    Session session(model, config);
    session.prefill(prompt);
    advance(session, steps(1));
    const EvictionColumns evictions = session.take_trace().evictions;
    REQUIRE_EQUAL(evictions.layer_index.size(), size_t{3});
    for (size_t layer = 0; layer < 3; ++layer) {
      const LayerCase scored{captured[layer], tiny.config, kLength};
      const std::map<int, double> scores = prompt_scores(policy, scored, kWindow);
      const int num_protected = policy == "snap-kv" ? kWindow
                                : policy == "h2o"   ? static_cast<int>(kBudget / 2)
                                                    : kLength % kBlockSize;
      std::vector<double> ascending;
      for (int token = kBlockSize; token < kLength - num_protected; ++token)
        ascending.push_back(scores.at(token));
      std::sort(ascending.begin(), ascending.end());
      const auto num_dropped = static_cast<size_t>(kLength - kBudget);
      // The same token scores nearly the same wherever it stands, so which of equals goes is left open.
      const double highest = ascending[num_dropped - 1] + 1e-5 * std::fabs(ascending[num_dropped - 1]);
      const ListColumn<int32_t>& dropped = evictions.positions;
      REQUIRE_EQUAL(static_cast<size_t>(dropped.offsets[layer + 1] - dropped.offsets[layer]), num_dropped);
      for (int i = dropped.offsets[layer]; i < dropped.offsets[layer + 1]; ++i) {
        const int token = dropped.values[static_cast<size_t>(i)];
        REQUIRE(token >= kBlockSize && token < kLength - num_protected && scores.at(token) <= highest);
      }
    }
  }
}

TEST("a prompt longer than a slice that is cut first attends to what stays only") {
  constexpr int kLength = kTokensPerPart + 20;
  const TinyLlama tiny = long_llama(10);
  SessionConfig config = config_of("streaming-llm", DType::kF32);
  config.policy.budget = 20 * kBlockSize;
  config.policy.prefill_attention = PrefillAttention::kEvicted;
  const std::vector<int32_t> prompt = some_tokens(kLength, 5);
  Session session(tiny.open(), config);
  session.prefill(prompt);
  advance(session, steps(1));
  const int first_recent = kLength - 19 * kBlockSize;
  const auto expected = tiny.forward(prompt, [&](int, int query, int key) {
    return key <= query && (key < kBlockSize || key >= first_recent);
  });
  const std::vector<float> actual = logits_of(session);
  compare("logits", actual.data(), expected.back().data(), static_cast<int64_t>(actual.size()), 1e-5, 1e-3);
}

TEST("a number that is not finite in a later part: its place is told, and the step is taken back") {
  constexpr int64_t kPosition = kTokensPerPart + 77;
  TinyLlama tiny = long_llama(4);
  constexpr int32_t kSpecial = 30;
  for (int i = 0; i < tiny.config.hidden_size; ++i)
    tiny.weights["model.embed_tokens.weight"][static_cast<size_t>(kSpecial * tiny.config.hidden_size + i)] =
        NAN;
  const auto model = tiny.open();
  std::vector<int32_t> prompt = some_tokens(kLongest, 5, kSpecial);
  const std::vector<int32_t> sound = prompt;
  prompt[kPosition] = kSpecial;
  const SessionConfig config = config_of("full", DType::kF32);
  Session session(model, config), left(model, config), fresh(model, config);
  session.prefill(prompt);
  AdvanceRequest request = steps(1);
  request.stop.nan = true;
  const AdvanceResult stopped = advance(session, request);
  REQUIRE_EQUAL(std::get<NanEvent>(*stopped.event).position, kPosition);
  REQUIRE_EQUAL(std::get<NanEvent>(*stopped.event).layer, 0);
  REQUIRE_ERROR("ERR_OCTAVO_NAN", advance(session, request));
  left.prefill(prompt);
  REQUIRE(advance(left, request).event);
  REQUIRE_EQUAL(left.layer_state(1).kv_len, kTokensPerPart);
  left.rewind(RewindUnit::kTokens, 0);  // leaves the part, and the prompt
  for (int layer = 0; layer < tiny.config.num_layers; ++layer) {
    for (const Session* each : {&session, &left}) {
      REQUIRE_EQUAL(each->layer_state(layer).kv_len, int64_t{0});
      REQUIRE_EQUAL(each->layer_state(layer).num_free_blocks, config.num_blocks);
    }
  }
  for (Session* each : {&session, &left, &fresh}) {
    each->prefill(sound);
    advance(*each, steps(3));
  }
  REQUIRE(logits_of(session) == logits_of(fresh));
  REQUIRE(logits_of(left) == logits_of(fresh));

  // Positions in slots that are free again are what they were.
  const auto positions = [&] {
    const Tensor& all = session.layer_cache(0).positions();
    return std::vector<int32_t>(all.i32(), all.i32() + all.num_elements());
  };
  session.rewind(RewindUnit::kTokens, 0);
  const std::vector<int32_t> before = positions();
  std::reverse(prompt.begin(), prompt.end());
  session.prefill(prompt);
  REQUIRE_ERROR("ERR_OCTAVO_NAN", advance(session, steps(1)));
  REQUIRE(positions() == before);
}

TEST("cancelled between layers of any part, a prompt goes on to the same bits") {
  const TinyLlama tiny = long_llama(6);
  const auto model = tiny.open();
  const std::vector<int32_t> prompt = some_tokens(kLongest, 8);
  const SessionConfig config = config_of("full", DType::kBf16);
  Session expected(model, config);
  expected.prefill(prompt);
  advance(expected, steps(3));
  int num_inside = 0;
  for (int attempt = 0; attempt < 100 && num_inside == 0; ++attempt) {  // where the thread gets no turn
    Session session(model, config);
    session.prefill(prompt);
    AdvanceRequest request = steps(3);
    std::atomic<bool> cancelled = false, over = false;
    std::thread canceller([&] {
      while (!over) {
        cancelled = true;
        std::this_thread::sleep_for(std::chrono::microseconds(300));
      }
    });
    while (request.max_steps > 0) {
      request.max_steps -= session.advance(request, cancelled).num_steps;
      cancelled = false;
      num_inside += session.is_inside_step() ? 1 : 0;
    }
    over = true;
    canceller.join();
    REQUIRE(logits_of(session) == logits_of(expected));
    REQUIRE(state_of(session) == state_of(expected));
  }
  std::printf("     cancelled %d times\n", num_inside);
  REQUIRE(num_inside > 0);
}
