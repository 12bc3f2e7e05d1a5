// Steps that fail: a NaN or an infinity takes the step back in all layers, an exhausted pool is noticed
// before it begins, and the session goes on as if nothing had happened.
#include <algorithm>
#include <cmath>

#include "session_runs.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr int kBlockSize = 4;
constexpr int64_t kBudget = 16;
constexpr int kSpecialToken = 30;

// Dimension 0 of the residual stream is 50 for the special token and 0 for all others; nothing reads it yet.
TinyLlama special_llama() {
  TinyLlama tiny(41);
  const auto zero_column = [&](const std::string& name) {
    std::vector<float>& weight = tiny.weights.at(name);
    const auto width = static_cast<size_t>(tiny.shapes.at(name)[1]);
    for (size_t row = 0; row * width < weight.size(); ++row) weight[row * width] = 0;
  };
  const auto zero_row = [&](const std::string& name) {
    std::vector<float>& weight = tiny.weights.at(name);
    std::fill_n(weight.begin(), tiny.shapes.at(name)[1], 0.0F);
  };
  zero_column("model.embed_tokens.weight");
  zero_column("lm_head.weight");
  tiny.weights.at("model.embed_tokens.weight")[static_cast<size_t>(kSpecialToken * tiny.config.hidden_size)] =
      50;
  for (int layer = 0; layer < tiny.config.num_layers; ++layer) {
    const std::string name = "model.layers." + std::to_string(layer) + ".";
    for (const char* reads :
         {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj"}) {
      zero_column(name + reads + ".weight");
    }
    for (const char* writes : {"self_attn.o_proj", "mlp.down_proj"}) zero_row(name + writes + ".weight");
  }
  return tiny;
}

// What `rows` of a weight make of dimension 0.
void set_column(TinyLlama& tiny, const std::string& name, int first_row, int last_row, float number) {
  const auto width = static_cast<size_t>(tiny.shapes.at(name)[1]);
  for (int row = first_row; row <= last_row; ++row)
    tiny.weights.at(name)[static_cast<size_t>(row) * width] = number;
}

// The special token overflows in one place: row 8 is of KV head 1, or of token 8.
TinyLlama overflowing_llama(const std::string& place) {
  TinyLlama tiny = special_llama();
  set_column(tiny, place, 8, 8, 3e38F);
  return tiny;
}

// The special token's key and value in layer 1, KV head 1, are finite, but so large that their norms are not;
// no query looks at that head, and nothing reads its output. Two such tokens still add up within fp32.
TinyLlama huge_norm_llama() {
  TinyLlama tiny = special_llama();
  const int first_row = tiny.config.head_dim, last_row = 2 * tiny.config.head_dim - 1;
  tiny.weights.at("model.layers.1.input_layernorm.weight")[0] = 1;
  const std::string name = "model.layers.1.self_attn.";
  set_column(tiny, name + "k_proj.weight", first_row, last_row, 3.2e37F);
  set_column(tiny, name + "v_proj.weight", first_row, last_row, 3.2e37F);
  std::vector<float>& query = tiny.weights.at(name + "q_proj.weight");
  std::fill(query.begin() + static_cast<int64_t>(query.size()) / 2, query.end(), 0.0F);
  std::vector<float>& output = tiny.weights.at(name + "o_proj.weight");
  const auto width = static_cast<size_t>(tiny.shapes.at(name + "o_proj.weight")[1]);
  for (size_t i = 0; i < output.size(); ++i) {
    if (i % width >= width / 2) output[i] = 0;
  }
  return tiny;
}

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<int32_t> plain_tokens(int64_t count, unsigned seed) {
  return some_tokens(count, seed, kSpecialToken);
}

}  // namespace

TEST("an infinite key takes the step back in all layers, evictions and partial layers included") {
  for (const int num_before : {0, 3, 7, 15}) {  // 3, 7 and 15: the failing token fills a block, which evicts
    const TinyLlama tiny = overflowing_llama("model.layers.1.self_attn.k_proj.weight");
    const auto model = tiny.open();
    const SessionConfig config = session_config("paged-eviction", kBlockSize, kBudget);
    Session session(model, config), twin(model, config);
    for (Session* each : {&session, &twin}) {
      each->prefill(plain_tokens(16, 4));
      AdvanceRequest request = steps(1 + num_before);
      request.forced_tokens = plain_tokens(num_before, 5);
      advance(*each, request);
    }
    const std::string before = state_of(session);
    const std::vector<float> logits_before = logits_of(session);
    AdvanceRequest poison = steps(1);
    poison.forced_tokens = {kSpecialToken};
    // First with a stop, so that the step fails after a resumption.
    if (num_before % kBlockSize == 3) {
      poison.stop.evict = true;
      REQUIRE(advance(session, poison).reason == StopReason::kEvent);
      REQUIRE(state_of(session) != before);
    }
    const std::string message = message_of([&] { advance(session, poison); });
    REQUIRE(contains(message, "layer 1") && contains(message, "KV head 1") && contains(message, "key"));
    REQUIRE(contains(message, "position " + std::to_string(16 + num_before)));
    REQUIRE(!session.is_inside_step());
    REQUIRE(state_of(session) == before);
    REQUIRE(logits_of(session) == logits_before);
    poison.stop.evict = false;
    REQUIRE_ERROR("ERR_OCTAVO_NAN", advance(session, poison));
    for (int layer = 0; layer < tiny.config.num_layers; ++layer) {
      const Tensor& positions = session.layer_cache(layer).positions();
      const Tensor& expected = twin.layer_cache(layer).positions();
      REQUIRE(std::equal(positions.i32(), positions.i32() + positions.num_elements(), expected.i32()));
    }

    // Both go on alike, as if nothing had happened.
    AdvanceRequest more = steps(30);
    more.forced_tokens = plain_tokens(30, 6);
    advance(session, more);
    advance(twin, more);
    REQUIRE(logits_of(session) == logits_of(twin));
    REQUIRE(bytes_of(session.take_trace()) == bytes_of(twin.take_trace()));
  }
}

TEST("infinite values and logits take the step back too, also in the prefill") {
  for (const auto& [place, part] :
       {std::pair<std::string, std::string>{"model.layers.2.self_attn.v_proj.weight", "value"},
        {"lm_head.weight", "logits"}}) {
    const TinyLlama tiny = overflowing_llama(place);
    Session session(tiny.open(), session_config("streaming-llm", kBlockSize, kBudget));
    const std::string empty = state_of(session);
    std::vector<int32_t> prompt = plain_tokens(30, 4);
    prompt.push_back(kSpecialToken);
    session.prefill(prompt);
    std::string code = error_code([&] { advance(session, steps(1)); });
    REQUIRE_EQUAL(code, std::string("ERR_OCTAVO_NAN"));
    REQUIRE(contains(message_of([&] { advance(session, steps(1)); }), part));
    REQUIRE(state_of(session) == empty);
    REQUIRE(session.take_trace().steps.step_index.empty());
    REQUIRE_ERROR("ERR_OCTAVO_PREFILL", session.logits());
    session.prefill(plain_tokens(30, 4));  // another prompt in its place
    REQUIRE_EQUAL(advance(session, steps(1)).num_steps, int64_t{1});
  }
}

TEST("NaN scores count as +infinity, are counted by layer, and are not counted for a step taken back") {
  TinyLlama tiny = huge_norm_llama();
  Session session(tiny.open(), session_config("paged-eviction", kBlockSize, kBudget));
  std::vector<int32_t> prompt = plain_tokens(30, 4);
  prompt[17] = kSpecialToken;
  session.prefill(prompt);
  AdvanceRequest request = steps(60);
  request.forced_tokens = plain_tokens(59, 6);
  request.forced_tokens[4] = kSpecialToken;
  advance(session, request);
  const TraceTables trace = session.take_trace();
  for (size_t row = 0; row < trace.memory.step_index.size(); ++row) {
    const int in_prompt = trace.memory.layer_index[row] == 1 ? 1 : 0;
    const bool late =
        trace.memory.layer_index[row] == 1 && trace.memory.step_index[row] >= 8;  // its block is full
    REQUIRE_EQUAL(trace.memory.num_nan_scores[row], in_prompt + (late ? 1 : 0));
  }
  std::string kept;
  const LayerState state = session.layer_state(1);
  for (size_t index = 0; index < state.block_ids.size(); ++index) {
    for (const int32_t position : session.layer_cache(1).live_positions(static_cast<int>(index))) {
      if (position == 17 || position == 34) {
        kept += std::to_string(position) + " ";
        REQUIRE(state.scores[index] == INFINITY);
      }
    }
  }
  REQUIRE_EQUAL(kept, std::string("17 34 "));

  set_column(tiny, "model.layers.2.self_attn.k_proj.weight", 0, 0, 3e38F);
  Session failing(tiny.open(), session_config("paged-eviction", kBlockSize, kBudget));
  failing.prefill(plain_tokens(15, 4));
  advance(failing, steps(1));
  AdvanceRequest poison = steps(1);
  poison.forced_tokens = {kSpecialToken};  // fills a block, which layer 1 scores before layer 2 fails
  REQUIRE_ERROR("ERR_OCTAVO_NAN", advance(failing, poison));
  poison.forced_tokens = {1};
  advance(failing, poison);
  for (const int32_t count : failing.take_trace().memory.num_nan_scores) REQUIRE_EQUAL(count, 0);
}

TEST("an exhausted pool is noticed before the step, says how to mend it, and leaves the session as it was") {
  const TinyLlama tiny(33);
  const auto model = tiny.open();
  SessionConfig config = session_config("full", kBlockSize, 0);
  config.num_blocks = 5;
  Session session(model, config);
  session.prefill(some_tokens(21, 1));
  REQUIRE_ERROR("ERR_OCTAVO_POOL_EXHAUSTED", advance(session, steps(1)));
  session.prefill(some_tokens(18, 1));
  AdvanceRequest request = steps(10, 0.5);
  const std::string message = message_of([&] { advance(session, request); });
  REQUIRE(contains(message, "layer 0") && contains(message, "5 of its 5") && contains(message, "numBlocks"));
  REQUIRE_EQUAL(session.num_tokens(), int64_t{20});  // the prompt, and two tokens into the last block
  const std::string before = state_of(session);
  REQUIRE_ERROR("ERR_OCTAVO_POOL_EXHAUSTED", advance(session, request));
  REQUIRE(state_of(session) == before);
  REQUIRE_EQUAL(static_cast<int>(session.take_trace().steps.step_index.size()), 3);

  // An evicting policy lives in one block more than its budget for as long as positions last.
  config = session_config("paged-eviction", kBlockSize, kBudget);
  config.num_blocks = static_cast<int>(kBudget / kBlockSize) + 1;
  Session evicting(model, config);
  evicting.prefill(some_tokens(300, 1));
  REQUIRE_EQUAL(advance(evicting, steps(301)).num_steps, int64_t{301});
  REQUIRE_ERROR("ERR_OCTAVO_POSITION", advance(evicting, steps(1)));
  REQUIRE_EQUAL(evicting.num_tokens(), int64_t{600});
}

TEST("a history makes way, the oldest step first, where a pool has no other blocks left") {
  const auto model = TinyLlama(5).open();
  SessionConfig config = session_config("paged-eviction", 4, 12);
  const Run alone = run(model, config, some_tokens(20, 3), 40);
  config.num_blocks = 5;  // the cache takes four at its peak
  config.history = 100;
  Session session(model, config);
  session.prefill(some_tokens(20, 3));
  for (const std::vector<float>& logits : alone.logits) {
    advance(session, steps(1));
    REQUIRE(logits_of(session) == logits);
  }
  const std::vector<int32_t> points = session.rewind_points();
  REQUIRE(points.size() > 4 && points.size() < 40);
  REQUIRE_EQUAL(points.back(), 60);
  session.rewind(RewindUnit::kTokens, points.front());
  for (int64_t step = points.front() - 20; step < 40; ++step) {
    advance(session, steps(1));
    REQUIRE(logits_of(session) == alone.logits[static_cast<size_t>(step + 1)]);
  }
}
