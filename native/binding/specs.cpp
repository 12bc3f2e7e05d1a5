// Ranges here keep every product of sizes within 64 bits; what fits together is the engine's to check.
#include "binding/specs.h"

#include <algorithm>
#include <limits>

#include "binding/arguments.h"

namespace octavo::binding {

namespace {

constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxLayers = 1 << 12;
constexpr int64_t kMaxDimension = 1 << 24;

PolicyConfig to_policy_config(const Fields& fields, uint64_t session_seed) {
  PolicyConfig config;
  config.name = fields.text("name");
  if (fields.has("budget")) config.budget = fields.integer("budget", 0, kMaxInt32);
  config.score = fields.choice<TokenScore>("score",
                                           {{"value-key-ratio", TokenScore::kValueKeyRatio},
                                            {"value-key-ratio-of-means", TokenScore::kValueKeyRatioOfMeans},
                                            {"value-norm", TokenScore::kValueNorm},
                                            {"inverse-key-norm", TokenScore::kInverseKeyNorm},
                                            {"key-value-norm-sum", TokenScore::kKeyValueNormSum}},
                                           TokenScore::kValueKeyRatio);
  config.candidates = fields.choice<Candidates>(
      "candidates", {{"global", Candidates::kGlobal}, {"local", Candidates::kLocal}}, Candidates::kGlobal);
  config.tail_protect = fields.choice<TailProtect>(
      "tailProtect", {{"page", TailProtect::kPage}, {"page+remainder", TailProtect::kPageAndRemainder}},
      TailProtect::kPage);
  if (fields.has("window")) config.window = fields.integer("window", 0, kMaxInt32);
  config.seed =
      fields.has("seed") ? static_cast<uint64_t>(fields.integer("seed", 0, kMaxSafeInteger)) : session_seed;
  return config;
}

}  // namespace

LlamaConfig to_llama_config(const Napi::Value& value) {
  const Fields fields(value, "spec");
  LlamaConfig config{};
  config.num_layers = fields.integer32("numLayers", 1, kMaxLayers);
  config.hidden_size = fields.integer32("hiddenSize", 1, kMaxDimension);
  config.intermediate_size = fields.integer32("intermediateSize", 1, kMaxDimension);
  config.num_query_heads = fields.integer32("numQueryHeads", 1, kMaxDimension);
  config.num_kv_heads = fields.integer32("numKvHeads", 1, kMaxDimension);
  config.head_dim = fields.integer32("headDim", 1, kMaxDimension);
  config.vocab_size = fields.integer32("vocabSize", 1, kMaxDimension);
  config.max_positions = fields.integer("maxPositions", 1, kMaxInt32);
  config.rms_norm_eps = fields.number("rmsNormEps");
  config.rope_theta = fields.number("ropeTheta");
  if (fields.has("ropeScaling")) {
    const Fields scaling = fields.object("ropeScaling");
    config.rope_scaling =
        RopeScaling{.factor = scaling.number("factor"),
                    .low_freq_factor = scaling.number("lowFreqFactor"),
                    .high_freq_factor = scaling.number("highFreqFactor"),
                    .original_max_positions = scaling.integer("originalMaxPositions", 1, kMaxInt32)};
  }
  config.tie_word_embeddings = fields.boolean("tieWordEmbeddings");
  return config;
}

std::vector<WeightSource> to_weight_sources(const Napi::Value& value) {
  if (!value.IsArray()) fail_argument("an array", "weights", value);
  const auto array = value.As<Napi::Array>();
  std::vector<WeightSource> sources;
  for (uint32_t index = 0; index < array.Length(); ++index) {
    const Fields fields(array.Get(index), "weights[" + std::to_string(index) + "]");
    WeightSource source{.name = fields.text("name"),
                        .dtype = fields.text("dtype"),
                        .shape = {},
                        .path = fields.text("path"),
                        .offset_bytes = fields.integer("offsetBytes", 0, kMaxSafeInteger),
                        .size_bytes = fields.integer("sizeBytes", 0, kMaxSafeInteger)};
    for (const Napi::Value& size : fields.list("shape")) {
      source.shape.push_back(to_integer(size, fields.path("shape"), 0, kMaxSafeInteger));
    }
    sources.push_back(std::move(source));
  }
  return sources;
}

SessionConfig to_session_config(const Napi::Value& value) {
  const Fields fields(value, "spec");
  SessionConfig config;
  config.block_size = fields.integer32("blockSize", 1, 256);
  config.num_blocks = fields.integer32("numBlocks", 1, kMaxInt32);
  config.seed = static_cast<uint64_t>(fields.integer("seed", 0, kMaxSafeInteger));
  config.record_blocks = fields.boolean("recordBlocks");
  config.record_logits = fields.boolean("recordLogits", false);
  if (fields.has("history")) config.history = fields.integer("history", 0, kMaxInt32);
  config.policy = to_policy_config(fields.object("policy"), config.seed);
  return config;
}

AdvanceRequest to_advance_request(const Napi::Value& value) {
  const Fields fields(value, "request");
  AdvanceRequest request;
  request.max_steps = fields.integer("maxSteps", 0, kMaxSafeInteger);
  if (fields.has("forcedTokens")) request.forced_tokens = fields.int32s("forcedTokens");
  if (fields.has("endTokens")) request.end_tokens = fields.int32s("endTokens");
  const Fields sampling = fields.object("sampling");
  request.sampling.temperature = sampling.number("temperature");
  request.sampling.top_k = sampling.integer32("topK", 0, kMaxInt32);
  request.sampling.top_p = sampling.number("topP");
  if (fields.has("stop")) {
    const Fields stop = fields.object("stop");
    request.stop.evict = stop.boolean("evict", false);
    request.stop.block_full = stop.boolean("blockFull", false);
    request.stop.layer_end = stop.boolean("layerEnd", false);
    request.stop.nan = stop.boolean("nan", false);
    if (stop.has("layer")) request.stop.layer = stop.integer32("layer", 0, kMaxInt32);
  }
  if (fields.has("decision")) {
    const Fields decision = fields.object("decision");
    request.decision.emplace();
    if (decision.has("scores")) {
      request.decision->scores = to_float32s(decision.value("scores"), decision.path("scores"));
    } else if (!decision.boolean("veto", false)) {
      request.decision->logical_index = decision.integer32("replaceWith", 0, kMaxInt32);
    }
  }
  return request;
}

RewindTarget to_rewind_target(const Napi::Value& value) {
  const Fields fields(value, "target");
  if (fields.has("snapshot")) {
    return {.snapshot = fields.integer("snapshot", 0, kMaxSafeInteger), .unit = {}, .count = 0};
  }
  const bool by_tokens = fields.has("tokens");
  return {.snapshot = {},
          .unit = by_tokens ? RewindUnit::kTokens : RewindUnit::kStep,
          .count = fields.integer(by_tokens ? "tokens" : "stepIndex", 0, kMaxSafeInteger)};
}

ForkConfig to_fork_config(const Napi::Value& value, uint64_t seed) {
  const Fields fields(value, "spec");
  ForkConfig changes;
  if (fields.has("seed")) changes.seed = static_cast<uint64_t>(fields.integer("seed", 0, kMaxSafeInteger));
  if (fields.has("policy"))
    changes.policy = to_policy_config(fields.object("policy"), changes.seed.value_or(seed));
  return changes;
}

}  // namespace octavo::binding
