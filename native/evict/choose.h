// The choice that all policies share: out of the unprotected candidates the lowest scores go, and on equal
// scores the older one first.
#pragma once

#include "evict/policy.h"

namespace octavo {

// Checks a budget. Throws ERR_OCTAVO_BUDGET when it is absent, not a multiple of block_size or under three
// blocks.
int64_t require_budget(const PolicyConfig& config, int block_size);

// Tokens in the last block of a prompt: num_tokens mod block_size, or a whole block when that is 0.
int64_t last_block_tokens(int64_t num_tokens, int block_size);

// [begin, end) as a list of candidates.
std::vector<int32_t> index_range(int64_t begin, int64_t end);

// Drops the num_dropped candidates that come first in ascending (score, candidate); a NaN score counts as
// +infinity. num_dropped: 1 to the number of candidates.
Choice choose_lowest(std::vector<int32_t> candidates,  // each once
                     std::vector<float> scores,        // in the same order
                     int64_t num_dropped);

// The num_dropped tokens of a cache with the lowest scores among those at positions [begin, end), begin at
// least 0; none when there are not so many. A single one without a list of candidates costs least.
std::optional<Choice> choose_lowest_between(const CacheView& cache, int64_t begin, int64_t end,
                                            int64_t num_dropped);

}  // namespace octavo
