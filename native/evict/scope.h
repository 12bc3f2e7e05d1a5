// One decision for all layers: what each layer scores is reduced to one score a candidate, and the policy
// chooses by that. Ranks are free of scale, so that a layer with large scores does not decide alone.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "evict/policy.h"

namespace octavo {

// One score a candidate from those of all layers. A NaN counts as +infinity, and equal scores of a layer
// share the mean of their ranks.
std::vector<float> reduce_scores(
    SharedBy shared_by,                              // kLayer0: the first layer's
    const std::vector<std::vector<float>>& scores);  // [num_layers][num_candidates]

// What a policy chooses by the reduced scores of all layers. choose(scores) is the policy's choice for scores
// of everything that a layer holds; what it may choose among must not depend on them. Scores are reduced over
// the candidates alone, so that ranks count nothing that is protected. place_of(candidate): where its score
// stands.
template <typename Choose, typename PlaceOf>
std::optional<Choice> choose_by_all_layers(
    SharedBy shared_by,
    const std::vector<std::vector<float>>& scores,  // [num_layers][count]
    Choose&& choose, PlaceOf&& place_of) {
  std::vector<float> reduced = scores.front();
  const std::optional<Choice> first = choose(reduced.data());
  if (!first || shared_by == SharedBy::kLayer0) return first;
  std::vector<std::vector<float>> of_candidates(scores.size());
  for (size_t layer = 0; layer < scores.size(); ++layer)
    for (const int32_t candidate : first->candidates)
      of_candidates[layer].push_back(scores[layer][place_of(candidate)]);
  const std::vector<float> shared = reduce_scores(shared_by, of_candidates);
  for (size_t place = 0; place < shared.size(); ++place)
    reduced[place_of(first->candidates[place])] = shared[place];
  return choose(reduced.data());
}

// The same where candidates are places themselves.
template <typename Choose>
std::optional<Choice> choose_by_all_layers(SharedBy shared_by, const std::vector<std::vector<float>>& scores,
                                           Choose&& choose) {
  const auto place_of = [](int32_t candidate) { return static_cast<size_t>(candidate); };
  return choose_by_all_layers(shared_by, scores, std::forward<Choose>(choose), place_of);
}

// Throws ERR_OCTAVO_ARGUMENT where a policy cannot share its decisions, or cut a prompt before its attention,
// as config asks.
void require_scope(const PolicyConfig& config, const Policy& policy);

}  // namespace octavo
