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
};

template <typename T>
std::shared_ptr<const Policy> make(const PolicyConfig& config, int block_size) {
  return std::make_shared<const T>(config, block_size);
}

constexpr Entry kPolicies[] = {
    {"full", make<FullPolicy>},
    {"paged-eviction", make<PagedEvictionPolicy>},
    {"streaming-llm", make<StreamingLlmPolicy>},
    {"inverse-key-norm", make<InverseKeyNormPolicy>},
    {"key-diff", make<KeyDiffPolicy>},
    {"snap-kv", make<SnapKvPolicy>},
    {"tova", make<TovaPolicy>},
    {"h2o", make<H2oPolicy>},
    {"custom", make<CustomPolicy>},
    {"random", make<RandomPolicy>},
};

}  // namespace

std::shared_ptr<const Policy> make_policy(const PolicyConfig& config, int block_size) {
  std::string names;
  for (const Entry& entry : kPolicies) {
    if (config.name == entry.name) {
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
