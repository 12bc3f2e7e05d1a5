// Makes a policy from its name and options.
#pragma once

#include <memory>

#include "evict/policy.h"

namespace octavo {

// Throws ERR_OCTAVO_BUDGET, and ERR_OCTAVO_ARGUMENT for a name that is not a policy's.
std::shared_ptr<const Policy> make_policy(const PolicyConfig& config,
                                          int block_size);  // slots per block, at least 1

// Names of all policies, for messages and tests.
std::vector<std::string> policy_names();

}  // namespace octavo
