// A model's file that another program cuts short in the middle of a step: the step fails and is taken back,
// so do all later ones of that model, and everything else goes on.
#include "helpers.h"
#include "session/batch.h"
#include "session_runs.h"
#include "test.h"
#include "written_model.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr int64_t kPromptTokens = 40;

// Each matrix takes several pages, and products by it are large enough for all threads.
LlamaConfig wide_config() {
  return {.num_layers = 2,
          .hidden_size = 128,
          .intermediate_size = 192,
          .num_query_heads = 4,
          .num_kv_heads = 2,
          .head_dim = 32,
          .vocab_size = 300,
          .max_positions = 128,
          .rms_norm_eps = 1e-5,
          .rope_theta = 10000,
          .rope_scaling = {},
          .tie_word_embeddings = false};
}

// What the file is cut to: nothing, its second half, or no whole page, which raises no signal.
std::vector<int64_t> cuts_of(const WrittenModel& written) {
  const auto size_bytes = static_cast<int64_t>(std::filesystem::file_size(written.folder / "weights"));
  return {0, size_bytes / 2, size_bytes - 10};
}

// The request that stops at the end of layer 0.
AdvanceRequest stopping_request() {
  AdvanceRequest request = steps(1);
  request.stop.layer_end = true;
  request.stop.layer = 0;
  return request;
}

// As of the last completed step, with what is cached.
std::string whole_state_of(Session& session) {
  ColumnBytes writer;
  writer.append(session.tokens());
  if (session.next_step_index() > 0) writer.append(logits_of(session));
  for (int layer = 0; layer < session.model_config().num_layers; ++layer) {
    const KvCache& cache = session.layer_cache(layer);
    std::vector<float> numbers(static_cast<size_t>(cache.shape().head_dim));
    for (int64_t slot = 0; slot < cache.table().num_slots(); ++slot) {
      cache.read_key(slot, 1, numbers.data());
      writer.append(numbers);
      cache.read_value(slot, 0, numbers.data());
      writer.append(numbers);
    }
  }
  return state_of(session) + writer.bytes;
}

}  // namespace

TEST("a step whose weights go while it runs fails and leaves the session as it was") {
  for (const DType dtype : {DType::kF32, DType::kBf16}) {
    const LlamaModel original = LlamaModel::random(wide_config(), 5, dtype);
    const auto other_model = std::make_shared<const LlamaModel>(LlamaModel::random(wide_config(), 6, dtype));
    for (const bool in_decode : {false, true}) {
      for (size_t cut = 0; cut < 3; ++cut) {
        const WrittenModel written(original, 0);
        const auto model = std::make_shared<const LlamaModel>(wide_config(), written.sources);
        Session session(model, session_config("paged-eviction", 4, 32));
        Session other(other_model, session_config("h2o", 4, 32));
        session.prefill(some_tokens(kPromptTokens, 3, 300));
        other.prefill(some_tokens(kPromptTokens, 3, 300));
        if (in_decode) advance(session, steps(5));
        const std::string before = whole_state_of(session);
        REQUIRE(advance(session, stopping_request()).reason == StopReason::kEvent);
        std::filesystem::resize_file(written.folder / "weights",
                                     static_cast<uintmax_t>(cuts_of(written)[cut]));
        REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", advance(session, steps(1)));
        REQUIRE_EQUAL(whole_state_of(session), before);
        REQUIRE(!session.is_inside_step());
        REQUIRE_EQUAL(session.take_trace().steps.step_index.size(), size_t{in_decode ? 5U : 0U});
        // Now and when the size is right again.
        REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", advance(session, steps(1)));
        const WrittenModel again(original, 0);
        std::filesystem::copy_file(again.folder / "weights", written.folder / "weights",
                                   std::filesystem::copy_options::overwrite_existing);
        REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", advance(session, steps(1)));
        REQUIRE_EQUAL(whole_state_of(session), before);
        REQUIRE_EQUAL(advance(other, steps(5)).num_steps, int64_t{5});
        // Loaded again it is what it was.
        const auto loaded = std::make_shared<const LlamaModel>(wide_config(), written.sources);
        Session anew(loaded, session_config("paged-eviction", 4, 32));
        anew.prefill(some_tokens(kPromptTokens, 3, 300));
        if (in_decode) {
          advance(anew, steps(5));
          REQUIRE_EQUAL(whole_state_of(anew), before);
        }
      }
    }
  }
}

TEST("no breakpoint shows what came of weights that are gone") {
  const WrittenModel written(LlamaModel::random(wide_config(), 5), 0);
  Session session(std::make_shared<const LlamaModel>(wide_config(), written.sources),
                  session_config("full", 1, 0));
  session.prefill(some_tokens(kPromptTokens, 3, 300));
  advance(session, steps(1));
  REQUIRE(advance(session, stopping_request()).reason == StopReason::kEvent);
  std::filesystem::resize_file(written.folder / "weights", 0);
  AdvanceRequest request = steps(1);
  request.stop.block_full = request.stop.layer_end = true;  // in layer 1 each token fills a block
  request.stop.layer = 1;
  REQUIRE_ERROR("ERR_OCTAVO_MODEL_FILE", advance(session, request));
}

TEST("a batch's sequences fail with their model, one by one, and give their blocks back") {
  const WrittenModel written(LlamaModel::random(wide_config(), 5), 0);
  Batch batch(std::make_shared<const LlamaModel>(wide_config(), written.sources),
              {.block_size = 4, .num_blocks = 64, .max_sequences = 2});
  for (unsigned seed = 0; seed < 3; ++seed) {
    BatchRequest request;
    request.prompt = some_tokens(20, seed, 300);
    request.max_tokens = 10;
    request.policy.name = "full";
    batch.add(std::move(request));
  }
  const std::atomic<bool> cancelled = false;
  BatchAdvance request;
  request.max_steps = 4;
  REQUIRE(batch.advance(request, cancelled).reason == BatchReason::kSteps);
  request.stops[1].layer_end = true;
  REQUIRE(batch.advance(request, cancelled).reason == BatchReason::kEvent);
  std::filesystem::resize_file(written.folder / "weights", 0);
  request.stops.clear();
  REQUIRE(batch.advance(request, cancelled).reason == BatchReason::kDone);
  for (int64_t id = 0; id < 3; ++id) REQUIRE_EQUAL(batch.failure(id)->code, "ERR_OCTAVO_MODEL_FILE");
  for (int64_t layer = 0; layer < 2; ++layer) REQUIRE_EQUAL(batch.pool_counts(layer).num_free, 64);
  const RequestColumns rows = batch.requests();
  REQUIRE_EQUAL(rows.num_output_tokens[0], 4);
  REQUIRE_EQUAL(rows.num_output_tokens[2], 0);
}
