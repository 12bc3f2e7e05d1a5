// The one default: a policy that does not score by norms must not be asked to.
#include "evict/policy.h"

#include <algorithm>

#include "core/check.h"

namespace octavo {

Policy::Policy(const PolicyConfig& config)
    : unit_(config.unit),
      holes_(config.holes),
      heads_(config.heads),
      positions_(config.positions),
      skip_layers_(config.skip_layers) {}

bool Policy::evicts_in(int layer) const {
  return std::find(skip_layers_.begin(), skip_layers_.end(), layer) == skip_layers_.end();
}

TokenScores Policy::score_tokens(const TokenNorms&) const {
  throw Error("ERR_OCTAVO_POLICY", "Expected a policy that scores tokens by their norms");
}

}  // namespace octavo
