// Two numbers of the distribution that logits stand for. Throws nothing; logits must be finite.
#pragma once

namespace octavo {

struct Distribution {
  double log_sum_exp;  // a token's log-probability is its logit less this
  double entropy;      // in nats
};

Distribution distribution_of(const float* logits,  // [vocab_size]
                             int vocab_size);

}  // namespace octavo
