// See scope.h.
#include "evict/scope.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/check.h"

namespace octavo {

namespace {

float kept_if_nan(float score) { return std::isnan(score) ? std::numeric_limits<float>::infinity() : score; }

// Ranks from 0 on, ascending with the score.
std::vector<double> ranks_of(const std::vector<float>& scores) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto key = [&](size_t place) { return kept_if_nan(scores[place]); };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
  std::vector<double> ranks(scores.size());
  for (size_t first = 0, end = 0; first < order.size(); first = end) {
    while (end < order.size() && key(order[end]) == key(order[first])) ++end;
    for (size_t at = first; at < end; ++at) ranks[order[at]] = static_cast<double>(first + end - 1) / 2;
  }
  return ranks;
}

}  // namespace

std::vector<float> reduce_scores(SharedBy shared_by, const std::vector<std::vector<float>>& scores) {
  if (shared_by == SharedBy::kLayer0) return scores.front();
  std::vector<double> sums(scores.front().size());
  for (const std::vector<float>& layer : scores) {
    const std::vector<double> ranks =
        shared_by == SharedBy::kMeanRank ? ranks_of(layer) : std::vector<double>();
    for (size_t place = 0; place < sums.size(); ++place)
      sums[place] += ranks.empty() ? kept_if_nan(layer[place]) : ranks[place];
  }
  std::vector<float> reduced;
  for (const double sum : sums)
    reduced.push_back(static_cast<float>(sum / static_cast<double>(scores.size())));
  return reduced;
}

void require_scope(const PolicyConfig& config, const Policy& policy) {
  const auto fail = [&](const std::string& expected, const std::string& received) {
    throw Error("ERR_OCTAVO_ARGUMENT", "Expected " + expected + " but received " + received);
  };
  const Evidence evidence = policy.evidence();
  if (config.shared && !config.budget)
    fail("no scope for policy " + config.name + ", which evicts nothing,", "one");
  if (config.prefill_attention == PrefillAttention::kFull) return;
  if (!config.budget)
    fail("full for prefillAttention of policy " + config.name + ", which evicts nothing,", "evicted");
  const bool by_caller =
      evidence == Evidence::kCaller && policy.unit() == EvictionUnit::kToken && !policy.sums_attention();
  if (!by_caller && evidence != Evidence::kNone && evidence != Evidence::kNorms &&
      evidence != Evidence::kKeys) {
    fail("full for prefillAttention of policy " + config.name + ", which cuts a prompt after its attention,",
         "evicted");
  }
  if (config.shared && config.shared != SharedBy::kLayer0) {
    fail(
        "scope shared by layer-0 or per-layer where prefillAttention is evicted, as no layer but the first "
        "is scored "
        "before the first attends,",
        "scope shared by a mean over layers");
  }
}

}  // namespace octavo
