// Two numbers of the distribution that logits stand for. Logits must be finite.
#pragma once

#include <vector>

namespace octavo {

struct Distribution {
  double log_sum_exp;  // a token's log-probability is its logit less this
  double entropy;      // in nats
};

Distribution distribution_of(const float* logits,  // [vocab_size]
                             int vocab_size,
                             std::vector<float>& scratch);  // of any size; reused from call to call

}  // namespace octavo
