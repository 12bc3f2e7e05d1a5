// A prompt that is cut before it attends: logits against a dense float64 model in which nobody ever sees what
// was dropped, kept sets against the oracles, and the other prompts and policies left as they were.
#include <algorithm>
#include <set>

#include "policy_oracle.h"
#include "session_runs.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr int kBlockSize = 4, kBudget = 24, kPrompt = 43, kDecoded = 30;

SessionConfig evicted_config(const std::string& policy) {
  SessionConfig config = session_config(policy, kBlockSize, kBudget);
  config.policy.prefill_attention = PrefillAttention::kEvicted;
  return config;
}

}  // namespace

TEST("no token of a prompt that is cut first attends to what was dropped") {
  for (const std::string policy :
       {"paged-eviction", "inverse-key-norm", "key-diff", "streaming-llm", "random"})
    for (const bool shared : {false, true}) {
      const TinyLlama tiny(17, 400);
      const auto model = tiny.open();
      SessionConfig config = evicted_config(policy);
      if (shared) config.policy.shared = SharedBy::kLayer0;
      const std::vector<int32_t> prompt = some_tokens(kPrompt, 8, 400);
      const Run result = run(model, config, prompt, kDecoded, 1.0);
      const EvictionColumns& evictions = result.trace.evictions;
      // What leaves with the prompt is never seen; what leaves in decode is not seen from that query on.
      std::map<std::pair<int, int>, int> gone_at;
      for (size_t row = 0; row < evictions.step_index.size(); ++row)
        for (int i = evictions.positions.offsets[row]; i < evictions.positions.offsets[row + 1]; ++i)
          gone_at[{evictions.layer_index[row], evictions.positions.values[static_cast<size_t>(i)]}] =
              evictions.step_index[row] == 0 ? 0 : kPrompt + evictions.step_index[row] - 1;
      const auto sees = [&](int layer, int query, int key) {
        const auto found = gone_at.find({layer, key});
        return found == gone_at.end() || query < found->second;
      };
      std::vector<TinyLlama::Captured> captured;
      const auto expected = tiny.forward(result.tokens, sees, &captured);
      compare_logits(policy, result, expected, 1e-5, 1e-3);
      // Attention in full gives other logits.
      const auto count = static_cast<int64_t>(expected.back().size());
      const auto full = tiny.forward(result.tokens, [&](int layer, int query, int key) {
        return query < kPrompt || sees(layer, query, key);
      });
      REQUIRE(difference(result.logits[0].data(), full[kPrompt - 1].data(), count).relative_l2 > 1e-3);

      // Kept sets: scores of layers beyond the first are made of states that already missed what was dropped.
      if (policy == "streaming-llm" || policy == "random") continue;
      for (int layer = 0; layer < tiny.config.num_layers; ++layer) {
        const LayerCase scored{captured[shared ? 0 : static_cast<size_t>(layer)], tiny.config, kPrompt};
        const std::map<int, double> scores = prompt_scores(policy, scored, 0);
        std::vector<std::pair<double, int>> ranks;
        for (int token = kBlockSize; token < kPrompt - 3; ++token) ranks.push_back({scores.at(token), token});
        std::sort(ranks.begin(), ranks.end());
        for (size_t place = 0; place < ranks.size(); ++place) {
          const bool is_dropped = place < kPrompt - kBudget;
          const auto found = gone_at.find({layer, ranks[place].second});
          REQUIRE_EQUAL(found != gone_at.end() && found->second == 0, is_dropped);
        }
      }
    }
}

TEST("without sink tokens a prompt that is cut first is its last tokens, as if the others had never been") {
  const TinyLlama tiny(19);
  const auto model = tiny.open();
  // Longer than a slice too, so that whole slices see nothing.
  for (const int length : {kPrompt, 600}) {
    SessionConfig config = evicted_config("streaming-llm");
    config.num_blocks = 200;
    config.policy.num_sinks = 0;
    const std::vector<int32_t> prompt = some_tokens(length, 8);
    Session cut(model, config), only(model, session_config("full", kBlockSize, 0));
    cut.prefill(prompt);
    advance(cut, steps(1));
    const int64_t kept = cut.layer_state(0).kv_len;
    REQUIRE_EQUAL(kept, int64_t{kBudget});
    only.prefill({prompt.end() - kept, prompt.end()});
    advance(only, steps(1));
    const std::vector<float> actual = logits_of(cut), expected = logits_of(only);
    // RoPE knows differences of positions only.
    compare("logits of " + std::to_string(length) + " tokens", actual.data(), expected.data(),
            static_cast<int64_t>(expected.size()), 1e-4, 1e-3);
  }
}

TEST("a prompt within the budget attends bit for bit as with full attention") {
  const TinyLlama tiny(18);
  const auto model = tiny.open();
  const Run full = run(model, session_config("key-diff", kBlockSize, kBudget), some_tokens(20, 3), 20);
  REQUIRE(run(model, evicted_config("key-diff"), some_tokens(20, 3), 20).logits == full.logits);
}

TEST("what cannot be cut before it attends is refused") {
  const auto model = TinyLlama(18).open();
  for (const std::string policy : {"full", "tova", "h2o", "snap-kv", "custom"}) {
    SessionConfig config = evicted_config(policy);
    REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", Session(model, config));
  }
  for (const SharedBy shared : {SharedBy::kMeanScore, SharedBy::kMeanRank}) {
    SessionConfig config = evicted_config("key-diff");
    config.policy.shared = shared;
    REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", Session(model, config));
  }
  SessionConfig config = session_config("full", kBlockSize, 0);
  config.policy.shared = SharedBy::kLayer0;
  REQUIRE_ERROR("ERR_OCTAVO_ARGUMENT", Session(model, config));
}
