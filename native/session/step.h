// A step under way: all that advance needs to go on from where a stop left it.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "evict/policy.h"
#include "model/llama.h"
#include "trace/recorder.h"

namespace octavo {

// Where in a layer the step stands; what the stage names has yet to happen.
enum class Stage {
  kProject,    // project
  kProjected,  // refuse what is not finite; decode: cache the token; prefill: attend, choose
  kBlockFull,  // decode: announce the full block
  kScore,      // decode: score blocks or tokens, or ask for scores
  kChoose,     // decode: choose, as long as the cache is above its budget
  kEvict,      // announce the choice, drop it
  kFinish,     // decode and parts of a prompt: attend; prefill: page the survivors
  kAttended,   // the rest of the layer
  kLayerEnd,   // announce the end of the layer
};

// What a step taken together with others waits for.
enum class SharedWork { kProjections, kAttention, kRestOfLayer, kLogits };

// Of a long prompt so many tokens are computed at a time, so that what is made in between does not grow with
// it: through all layers where every token stays, a layer's after one another where tokens are scored or go.
// A multiple of the products' slices of rows: no bit depends on the parts.
inline constexpr int64_t kTokensPerPart = 768;

// Activations of the tokens being fed, which are a step's or a part of them, and of one layer; kept from step
// to step to spare the allocations.
struct Activations {
  std::vector<float> hidden;  // [num_tokens, hidden_size]
  // [tokens computed at a time, num_query_heads, head_dim]; a prompt's attention takes the place of its
  // queries, which nobody asks for again.
  std::vector<float> query;
  std::vector<float> key;        // [num_tokens, num_kv_heads, head_dim]
  std::vector<float> value;      // [num_tokens, num_kv_heads, head_dim]
  std::vector<float> attention;  // decode: [1, num_query_heads, head_dim]
  std::vector<int64_t> positions;
};

// By which attention multiplies its logits.
inline float attention_scale(const LlamaConfig& config) {
  return 1.0F / std::sqrt(static_cast<float>(config.head_dim));
}

// A choice between its making and its effect.
struct PendingChoice {
  Choice choice;
  bool decided_by_user = false;  // replaced at a stop
};

// Puts another candidate, or one that the policy protects, in the place of what was chosen. Its score stands
// in choice.score where it is no candidate.
void replace_choice(PendingChoice& pending, int32_t chosen);

// What a layer of a prompt waits with until all are scored.
struct WaitingLayer {
  std::vector<float> key, value;  // [num_tokens, num_kv_heads, head_dim]
  std::vector<float> token_scores, token_mass;
};

struct Step {
  int64_t index = 0;
  Phase phase = Phase::kDecode;
  std::vector<int32_t> tokens;
  int64_t first_position = 0;
  bool in_parts = false;
  int64_t part_first = 0;   // tokens before the part under way
  int64_t slice_first = 0;  // of the tokens being fed: those before the slice that the layer computes
  bool forced = false;
  float token_logprob = 0;

  bool together = false;  // with steps of other sessions: stops where they share work, see lockstep.cpp
  int layer = 0;
  Stage stage = Stage::kProject;
  bool announced = false;              // the stage's event went out; it takes effect when the step goes on
  std::vector<PendingChoice> choices;  // one, or one of each KV head that chooses for itself
  size_t next_choice = 0;              // the first that did not go out as an event
  // Of this layer's prompt [num_choosers, num_tokens], or of its cache [num_slots, num_choosers]; for
  // policies that score.
  std::vector<float> token_scores;
  std::vector<float> token_mass;  // [num_choosers, num_tokens], where the policy sums up attention
  // Prefill, for policies that score by attention: of this layer's queries so far [num_query_heads,
  // num_tokens].
  std::vector<double> attention_sums;
  std::vector<std::vector<PendingChoice>>
      shared_choices;                            // decode: layer 0's evictions; prefill: the one cut
  size_t num_shared_taken = 0;                   // by the current layer
  std::vector<std::vector<float>> layer_scores;  // [num_layers][num_blocks or num_slots], decode with a mean
  int scored_layer = 0;                          // whose scores the caller is asked for
  std::vector<WaitingLayer> waiting_layers;      // [layers done so far], prefill with a mean over layers
  bool cuts_waiting_layers = false;              // all layers are computed; layer counts once more
  std::vector<EvictionRow> evictions;
  int64_t prompt_tokens_dropped = 0;  // prefill: of the layer that dropped most

  double total_us = 0, attention_us = 0, score_us = 0, evict_us = 0;
};

}  // namespace octavo
