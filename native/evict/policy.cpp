// The one default: a policy that does not score by norms must not be asked to.
#include "evict/policy.h"

#include "core/check.h"

namespace octavo {

TokenScores Policy::score_tokens(const TokenNorms&) const {
  throw Error("ERR_OCTAVO_POLICY", "Expected a policy that scores tokens by their norms");
}

}  // namespace octavo
