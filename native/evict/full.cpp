// A budget given to a policy that keeps everything is a mistake, not a no-op.
#include "evict/full.h"

#include "core/check.h"

namespace octavo {

FullPolicy::FullPolicy(const PolicyConfig& config, int) : Policy(config) {
  if (config.budget) {
    throw Error("ERR_OCTAVO_BUDGET",
                "Expected no budget for policy full but received " + std::to_string(*config.budget));
  }
}

}  // namespace octavo
