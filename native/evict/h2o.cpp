// A budget has at least three blocks, so half of it in whole blocks is at least one.
#include "evict/h2o.h"

#include <string>

#include "core/check.h"

namespace octavo {

H2oPolicy::H2oPolicy(const PolicyConfig& config, int block_size)
    : ScoredPolicy(config, block_size),
      num_recent_(config.num_recent.value_or(
          unit() == EvictionUnit::kBlock ? budget() / block_size / 2 * block_size : budget() / 2)),
      normalised_(config.normalised) {
  const int64_t least = unit() == EvictionUnit::kBlock ? block_size : 1;
  if (num_recent_ < least || num_recent_ > budget() - block_size) {
    throw Error("ERR_OCTAVO_BUDGET", "Expected " + std::to_string(least) + " to budget - blockSize (" +
                                         std::to_string(budget() - block_size) +
                                         ") for recent but received " + std::to_string(num_recent_));
  }
  if (unit() == EvictionUnit::kBlock) num_recent_ -= num_recent_ % block_size;
}

}  // namespace octavo
