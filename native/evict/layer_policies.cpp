// See layer_policies.h.
#include "evict/layer_policies.h"

#include <algorithm>
#include <string>

#include "core/check.h"
#include "evict/registry.h"

namespace octavo {

namespace {

std::shared_ptr<const Policy> make_for_layer(const PolicyConfig& config, int block_size, size_t layer) {
  try {
    return make_policy(config, block_size);
  } catch (const Error& error) {
    throw Error(error.code(), std::string(error.what()) + " in layer " + std::to_string(layer));
  }
}

}  // namespace

LayerPolicies::LayerPolicies(const PolicyConfig& config, int block_size, int num_layers) {
  const std::vector<int64_t>& budgets = config.layer_budgets;
  if (budgets.empty()) {
    policies_.assign(static_cast<size_t>(num_layers), make_policy(config, block_size));
    return;
  }
  if (budgets.size() != static_cast<size_t>(num_layers)) {
    throw Error("ERR_OCTAVO_BUDGET", "Expected a budget for each of the " + std::to_string(num_layers) +
                                         " layers but received " + std::to_string(budgets.size()));
  }
  if (config.shared) {
    throw Error("ERR_OCTAVO_BUDGET",
                "Expected one budget for all layers, which share their decisions, but received one a layer");
  }
  PolicyConfig in_layer = config;
  in_layer.layer_budgets.clear();
  for (size_t layer = 0; layer < budgets.size(); ++layer) {
    const auto twin = std::find(budgets.begin(), budgets.end(), budgets[layer]) - budgets.begin();
    in_layer.budget = budgets[layer];
    policies_.push_back(static_cast<size_t>(twin) < layer ? policies_[static_cast<size_t>(twin)]
                                                          : make_for_layer(in_layer, block_size, layer));
  }
}

}  // namespace octavo
