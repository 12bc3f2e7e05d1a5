// One line a policy.
#include "evict/registry.h"

#include "core/check.h"
#include "evict/custom.h"
#include "evict/full.h"
#include "evict/h2o.h"
#include "evict/inverse_key_norm.h"
#include "evict/key_diff.h"
#include "evict/paged_eviction.h"
#include "evict/random.h"
#include "evict/scope.h"
#include "evict/snap_kv.h"
#include "evict/streaming_llm.h"
#include "evict/tova.h"

namespace octavo {

namespace {

using MakePolicy = std::shared_ptr<const Policy> (*)(const PolicyConfig& config, int block_size);

struct Entry {
  const char* name;
  MakePolicy make;
  bool drops_tokens;     // knows tokens as unit
  bool chooses_by_head;  // knows heads that choose for themselves
};

template <typename T>
std::shared_ptr<const Policy> make(const PolicyConfig& config, int block_size) {
  return std::make_shared<const T>(config, block_size);
}

constexpr Entry kPolicies[] = {
    {"full", make<FullPolicy>, false, false},
    {"paged-eviction", make<PagedEvictionPolicy>, false, true},
    {"streaming-llm", make<StreamingLlmPolicy>, true, false},
    {"inverse-key-norm", make<InverseKeyNormPolicy>, true, true},
    {"key-diff", make<KeyDiffPolicy>, true, true},
    {"snap-kv", make<SnapKvPolicy>, false, true},
    {"tova", make<TovaPolicy>, true, false},
    {"h2o", make<H2oPolicy>, true, true},
    {"custom", make<CustomPolicy>, true, false},
    {"random", make<RandomPolicy>, true, true},
};

[[noreturn]] void refuse(const std::string& expected, const char* option, const std::string& name) {
  throw Error("ERR_OCTAVO_ARGUMENT",
              "Expected " + expected + " for " + option + " of policy " + name + " but received another");
}

void check_form(const PolicyConfig& config, const Entry& entry) {
  const bool by_token = config.unit == EvictionUnit::kToken;
  const bool by_head = config.heads == Heads::kPerHead;
  if (by_token && !entry.drops_tokens) refuse("block", "granularity", config.name);
  if (!by_token && config.holes != Holes::kRecycle)
    refuse("granularity token, or recycle", "holes", config.name);
  if (by_head && !entry.chooses_by_head) refuse("shared", "heads", config.name);
  // A slot with tokens of several heads is free for all of them or for none.
  if (by_head && config.holes != Holes::kRecycle)
    refuse("recycle (heads are per-head)", "holes", config.name);
  // Means over layers are of what stands in the same places in all of them, and is scored by the engine in
  // all of them at once. Only layer 0 has the newest token by then, so that it cannot go.
  const bool by_mean = config.shared && *config.shared != SharedBy::kLayer0;
  if (by_token && by_mean && config.name == "custom")
    refuse("block", "granularity (layers share a mean)", config.name);
  if (by_mean && !config.protect_newest) refuse("true", "protectNewest (layers share a mean)", config.name);
  if (by_head && by_mean) refuse("shared", "heads (layers share a mean)", config.name);
  if (config.shared && !config.skip_layers.empty())
    refuse("none", "skipLayers (layers share decisions)", config.name);
  if (by_head && config.prefill_attention == PrefillAttention::kEvicted)
    refuse("full", "prefillAttention (heads are per-head)", config.name);
  if (!by_token && !config.protect_newest) refuse("granularity token, or true", "protectNewest", config.name);
}

}  // namespace

std::shared_ptr<const Policy> make_policy(const PolicyConfig& config, int block_size) {
  std::string names;
  for (const Entry& entry : kPolicies) {
    if (config.name == entry.name) {
      check_form(config, entry);
      std::shared_ptr<const Policy> policy = entry.make(config, block_size);
      require_scope(config, *policy);
      return policy;
    }
    names += (names.empty() ? "" : ", ") + std::string(entry.name);
  }
  throw Error("ERR_OCTAVO_ARGUMENT", "Expected one of " + names + " for policy.name but received \"" +
                                         config.name.substr(0, 60) + "\"");
}

std::vector<std::string> policy_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kPolicies) names.emplace_back(entry.name);
  return names;
}

}  // namespace octavo
