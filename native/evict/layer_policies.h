// The policies of a session's layers: where budgets differ, one each; layers of equal budgets share one.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "evict/policy.h"

namespace octavo {

class LayerPolicies {
 public:
  // Throws as make_policy does, for a budget by layer with the layer, and ERR_OCTAVO_BUDGET where there is
  // not one for each layer, or where layers that share decisions are given budgets of their own.
  LayerPolicies(const PolicyConfig& config, int block_size, int num_layers);

  // What is the same in all layers: all but what a budget decides.
  const Policy* operator->() const { return policies_.front().get(); }
  const Policy& operator[](int64_t layer) const { return *policies_[static_cast<size_t>(layer)]; }

 private:
  std::vector<std::shared_ptr<const Policy>> policies_;  // [num_layers]
};

}  // namespace octavo
