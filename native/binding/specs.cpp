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
  if (fields.value("budget").IsArray()) {
    for (const Napi::Value& budget : fields.list("budget"))
      config.layer_budgets.push_back(to_integer(budget, fields.path("budget"), 0, kMaxInt32));
    if (config.layer_budgets.empty())
      fail_argument("a budget for each layer", fields.path("budget"), fields.value("budget"));
  } else if (fields.has("budget")) {
    config.budget = fields.integer("budget", 0, kMaxInt32);
  }
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
  config.unit = fields.choice<EvictionUnit>(
      "granularity", {{"block", EvictionUnit::kBlock}, {"token", EvictionUnit::kToken}},
      EvictionUnit::kBlock);
  config.holes = fields.choice<Holes>(
      "holes", {{"recycle", Holes::kRecycle}, {"mask", Holes::kMask}, {"compact", Holes::kCompact}},
      Holes::kRecycle);
  config.heads = fields.choice<Heads>("heads", {{"shared", Heads::kShared}, {"per-head", Heads::kPerHead}},
                                      Heads::kShared);
  config.positions = fields.choice<Positions>(
      "positions", {{"original", Positions::kOriginal}, {"reassigned", Positions::kReassigned}},
      Positions::kOriginal);
  if (fields.has("sinks")) config.num_sinks = fields.integer("sinks", 0, kMaxInt32);
  if (fields.has("recent")) config.num_recent = fields.integer("recent", 0, kMaxInt32);
  config.protect_newest = fields.boolean("protectNewest", true);
  if (fields.has("skipLayers")) {
    for (const Napi::Value& layer : fields.list("skipLayers")) {
      config.skip_layers.push_back(
          static_cast<int32_t>(to_integer(layer, fields.path("skipLayers"), 0, kMaxLayers)));
    }
  }
  if (fields.has("window")) config.window = fields.integer("window", 0, kMaxInt32);
  if (fields.has("poolingWidth")) config.pooling_width = fields.integer("poolingWidth", 0, kMaxInt32);
  config.pooling = fields.choice<Pooling>("pooling", {{"avg", Pooling::kMean}, {"max", Pooling::kMaximum}},
                                          Pooling::kMean);
  if (fields.has("needs")) config.sums_attention = to_scoring_needs(fields.value("needs")).attention_mass;
  config.normalised = fields.boolean("normalised", false);
  if (fields.has("shared")) {
    config.shared = fields.choice<SharedBy>("shared",
                                            {{"layer-0", SharedBy::kLayer0},
                                             {"mean-score", SharedBy::kMeanScore},
                                             {"mean-rank", SharedBy::kMeanRank}},
                                            SharedBy::kLayer0);
  }
  config.prefill_attention = fields.choice<PrefillAttention>(
      "prefillAttention", {{"full", PrefillAttention::kFull}, {"evicted", PrefillAttention::kEvicted}},
      PrefillAttention::kFull);
  config.seed =
      fields.has("seed") ? static_cast<uint64_t>(fields.integer("seed", 0, kMaxSafeInteger)) : session_seed;
  return config;
}

Sampling to_sampling(const Fields& fields) {
  Sampling sampling;
  sampling.temperature = fields.number("temperature");
  sampling.top_k = fields.integer32("topK", 0, kMaxInt32);
  sampling.top_p = fields.number("topP");
  return sampling;
}

StopConditions to_stop_conditions(const Fields& fields) {
  StopConditions stop;
  stop.evict = fields.boolean("evict", false);
  stop.block_full = fields.boolean("blockFull", false);
  stop.layer_end = fields.boolean("layerEnd", false);
  stop.nan = fields.boolean("nan", false);
  if (fields.has("layer")) stop.layer = fields.integer32("layer", 0, kMaxInt32);
  return stop;
}

Decision to_decision(const Fields& fields) {
  Decision decision;
  if (fields.has("scores")) {
    decision.scores = to_float32s(fields.value("scores"), fields.path("scores"));
  } else if (!fields.boolean("veto", false)) {
    decision.replacement = fields.integer32("replaceWith", 0, kMaxInt32);
  }
  return decision;
}

}  // namespace

ScoringNeeds to_scoring_needs(const Napi::Value& value) {
  if (!value.IsArray()) fail_argument("an array", "needs", value);
  const auto array = value.As<Napi::Array>();
  ScoringNeeds needs;
  for (uint32_t index = 0; index < array.Length() && index < 16; ++index) {
    const std::string need = to_text(array.Get(index), "needs[" + std::to_string(index) + "]");
    needs.vectors = needs.vectors || need == "keys" || need == "values";
    needs.norms = needs.norms || need == "norms";
    needs.attention_mass = needs.attention_mass || need == "attentionMass";
    needs.last_query = needs.last_query || need == "lastQuery";
  }
  return needs;
}

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

namespace {

DType to_kv_dtype(const Fields& fields) {
  return fields.choice<DType>("kvDtype", {{"f32", DType::kF32}, {"bf16", DType::kBf16}, {"f16", DType::kF16}},
                              DType::kF32);
}

}  // namespace

SessionConfig to_session_config(const Napi::Value& value) {
  const Fields fields(value, "spec");
  SessionConfig config;
  config.block_size = fields.integer32("blockSize", 1, 256);
  config.num_blocks = fields.integer32("numBlocks", 1, kMaxInt32);
  config.kv_dtype = to_kv_dtype(fields);
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
  request.sampling = to_sampling(fields.object("sampling"));
  if (fields.has("stop")) request.stop = to_stop_conditions(fields.object("stop"));
  if (fields.has("decision")) request.decision = to_decision(fields.object("decision"));
  return request;
}

BatchConfig to_batch_config(const Napi::Value& value) {
  const Fields fields(value, "spec");
  return {.block_size = fields.integer32("blockSize", 1, 256),
          .num_blocks = fields.integer32("numBlocks", 1, kMaxInt32),
          .kv_dtype = to_kv_dtype(fields),
          .max_sequences = fields.integer32("maxSequences", 1, kMaxInt32),
          .watermark = fields.integer32("watermark", 0, kMaxInt32)};
}

BatchRequest to_batch_request(const Napi::Value& value) {
  const Fields fields(value, "request");
  BatchRequest request;
  request.prompt = fields.int32s("prompt");
  request.max_tokens = fields.integer("maxTokens", 0, kMaxInt32);
  request.seed = static_cast<uint64_t>(fields.integer("seed", 0, kMaxSafeInteger));
  request.policy = to_policy_config(fields.object("policy"), request.seed);
  request.sampling = to_sampling(fields.object("sampling"));
  if (fields.has("endTokens")) request.end_tokens = fields.int32s("endTokens");
  if (fields.has("arrivalUs"))
    request.arrival_us = static_cast<double>(fields.integer("arrivalUs", 0, kMaxSafeInteger));
  if (fields.has("priority"))
    request.priority = static_cast<int32_t>(fields.integer("priority", -kMaxInt32, kMaxInt32));
  request.record_blocks = fields.boolean("recordBlocks", false);
  request.record_logits = fields.boolean("recordLogits", false);
  if (fields.has("history")) request.history = fields.integer("history", 0, kMaxInt32);
  return request;
}

BatchFork to_batch_fork(const Napi::Value& value, uint64_t seed) {
  const Fields fields(value, "spec");
  BatchFork changes;
  changes.session = to_fork_config(value, seed);
  if (fields.has("maxTokens")) changes.max_tokens = fields.integer("maxTokens", 0, kMaxInt32);
  if (fields.has("sampling")) changes.sampling = to_sampling(fields.object("sampling"));
  if (fields.has("endTokens")) changes.end_tokens = fields.int32s("endTokens");
  return changes;
}

BatchAdvance to_batch_advance(const Napi::Value& value) {
  const Fields fields(value, "request");
  BatchAdvance request;
  request.max_steps = fields.integer("maxSteps", 0, kMaxSafeInteger);
  if (fields.has("stops")) {
    for (const Napi::Value& each : fields.list("stops")) {
      const Fields stop(each, fields.path("stops"));
      const int64_t sequence_id = stop.integer("sequence", 0, kMaxSafeInteger);
      request.stops[sequence_id] = to_stop_conditions(stop.object("stop"));
    }
  }
  if (fields.has("decision")) request.decision = to_decision(fields.object("decision"));
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
