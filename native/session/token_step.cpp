// Tokens that go in decode one by one, as the cache passes its budget: which slot each stands in, and what
// becomes of that slot. The newest token is cached like any other first, so scores see it where it stands.
#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/slot_bits.h"
#include "session/session.h"

namespace octavo {

void replace_choice(PendingChoice& pending, int32_t chosen) {
  Choice& choice = pending.choice;
  const auto lower = [](float a, float b) { return std::isnan(b) || a < b; };  // NaN counts as the highest
  choice.runner_up_score = BlockTable::kNoScore;
  for (size_t place = 0; place < choice.candidates.size(); ++place) {
    const float score = choice.candidate_scores[place];
    if (choice.candidates[place] == chosen) {
      choice.score = score;
    } else if (lower(score, choice.runner_up_score)) {
      choice.runner_up_score = score;
    }
  }
  choice.dropped = {chosen};
  pending.decided_by_user = true;
}

// The live slot that holds a token of the layer, or of a head. Throws ERR_OCTAVO_ARGUMENT when none does.
int64_t Session::find_slot(const KvCache& cache, int32_t position, int chooser) const {
  const BlockTable& table = cache.table();
  for (int index = table.num_blocks() - 1; index >= 0; --index) {
    const int32_t* const positions = cache.block_positions(index, chooser);
    const int num_slots = table.filled(index);
    bool is_here = false;  // of all slots at once, before one by one
    for (int offset = 0; offset < num_slots; ++offset) is_here |= positions[offset] == position;
    for (int offset = num_slots - 1; is_here && offset >= 0; --offset) {
      const int64_t slot = int64_t{index} * config_.block_size + offset;
      if (positions[offset] == position && !table.is_dead(slot)) return slot;
    }
  }
  throw Error("ERR_OCTAVO_ARGUMENT",
              "Expected the position of a cached token but received " + std::to_string(position));
}

// Positions that a row holds in each slot, -1 in holes: in spare_positions_.
void Session::gather_positions(const KvCache& cache, int row) {
  const BlockTable& table = cache.table();
  spare_positions_.resize(static_cast<size_t>(table.num_slots()));
  for (int block = 0; block < table.num_blocks(); ++block)
    std::copy_n(cache.block_positions(block, row), table.filled(block),
                spare_positions_.begin() + int64_t{block} * config_.block_size);
  for_dead_slots(table.dead_slots(), table.num_blocks(), config_.block_size,
                 [&](int64_t slot) { spare_positions_[static_cast<size_t>(slot)] = -1; });
}

// Of a row, [num_slots]: where they stand, or in spare_scores_.
std::span<const float> Session::token_scores_of(int row) {
  const std::vector<float>& scores = step_->token_scores;
  const auto num_rows = static_cast<size_t>(num_choosers());
  if (num_rows == 1 || scores.empty()) return scores;
  spare_scores_.resize(scores.size() / num_rows);
  for (size_t slot = 0; slot < spare_scores_.size(); ++slot)
    spare_scores_[slot] = scores[slot * num_rows + static_cast<size_t>(row)];
  return spare_scores_;
}

void Session::choose_cached_tokens(bool lists_candidates) {
  Step& step = *step_;
  const KvCache& cache = layers_[static_cast<size_t>(step.layer)].cache;
  const int64_t num_dropped = policy_[step.layer].tokens_over_budget(cache.table().kv_len());
  step.choices.clear();
  step.next_choice = 0;
  if (shares_choices() && step.layer > 0) return take_shared_choices();
  if (num_dropped == 0) return;
  const int num_rows = num_choosers();
  for (int row = 0; row < num_rows; ++row) {
    gather_positions(cache, row);
    const CacheView view{.layer = step.layer,
                         .step_index = step.index,
                         .kv_head = num_rows == 1 ? std::nullopt : std::optional<int>(row),
                         .num_seen = step.first_position + 1,
                         .positions = spare_positions_,
                         .scores = token_scores_of(row),
                         .lists_candidates = lists_candidates};
    std::optional<Choice> choice = step.layer_scores.empty()
                                       ? policy_[step.layer].choose_cached_tokens(view, num_dropped)
                                       : choose_shared_cached_tokens(view, num_dropped);
    if (!choice) return step.choices.clear();
    step.choices.push_back({.choice = *std::move(choice)});
  }
}

void Session::decide_on_token(int chosen) {
  Step& step = *step_;
  const KvCache& cache = layers_[static_cast<size_t>(step.layer)].cache;
  PendingChoice& pending = step.choices[step.next_choice];
  if (chosen >= step.first_position) {
    throw Error("ERR_OCTAVO_ARGUMENT", "Expected a position below the newest token's (" +
                                           std::to_string(step.first_position) + ") but received " +
                                           std::to_string(chosen));
  }
  if (step.choices.size() > 1 && pending.choice.dropped.size() > 1) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected heads that drop a token each to replace one but each drops " +
                    std::to_string(pending.choice.dropped.size()));
  }
  const int chooser = step.choices.size() > 1 ? static_cast<int>(step.next_choice) : 0;
  const int64_t slot = find_slot(cache, chosen, chooser);
  const std::vector<float>& scores = step.token_scores;
  pending.choice.score =
      scores.empty() ? BlockTable::kNoScore : scores[static_cast<size_t>(slot * num_choosers() + chooser)];
  replace_choice(pending, chosen);
}

void Session::drop_cached_tokens() {
  Step& step = *step_;
  Layer& layer = layers_[static_cast<size_t>(step.layer)];
  std::vector<EvictEvent> events;
  // What might have gone besides a token is as long a list as the cache, so it is kept with the blocks' rows
  // only.
  for (size_t index = 0; index < step.choices.size(); ++index)
    events.push_back(evict_event(index, config_.record_blocks));
  bool freed = false;
  for (size_t round = 0; round < step.choices.front().choice.dropped.size(); ++round) {
    std::vector<int64_t> slots;
    for (size_t index = 0; index < step.choices.size(); ++index) {
      const std::vector<int32_t>& dropped = step.choices[index].choice.dropped;
      const EvictEvent& event = events[index];
      slots.push_back(event.slot_index
                          ? int64_t{*event.logical_index} * config_.block_size + *event.slot_index
                          : find_slot(layer.cache, dropped[round], static_cast<int>(index)));
    }
    // A policy that leaves no holes may find some that another left before a fork.
    const bool leaves_hole = policy_->holes() != Holes::kRecycle || layer.cache.table().has_holes();
    freed = (leaves_hole ? punch_hole(layer, slots.front()) : recycle(layer, slots)) || freed;
  }
  if (policy_->holes() != Holes::kMask && layer.cache.table().has_holes()) freed = compact(layer) || freed;
  for (size_t index = 0; index < events.size(); ++index) {
    note_eviction(std::move(events[index]), step.choices[index].decided_by_user, freed && index == 0);
  }
}

// The newest slot's token takes the freed slot, of each head its own; then the newest slot is given up.
bool Session::recycle(Layer& layer, const std::vector<int64_t>& slots) {
  const int64_t newest = layer.cache.table().num_slots() - 1;
  const auto num_rows = static_cast<int64_t>(slots.size());
  if (num_rows == 1) {
    if (slots.front() != newest) move_slot(layer, newest, slots.front());
    if (logits_of_newest_.num_slots() > 0) logits_of_newest_.move_newest_to(slots.front());
  } else {
    logits_of_newest_.clear();
    for (int64_t head = 0; head < num_rows; ++head) {
      const int64_t to = slots[static_cast<size_t>(head)];
      if (to == newest) continue;
      layer.cache.copy_slot_of_head(newest, to, static_cast<int>(head));
      for (std::vector<float>* numbers : {&layer.slot_values, &step_->token_scores}) {
        if (numbers->empty()) continue;
        (*numbers)[static_cast<size_t>(to * num_rows + head)] =
            (*numbers)[static_cast<size_t>(newest * num_rows + head)];
      }
    }
  }
  const bool freed = layer.cache.drop_newest_slot();
  forget_slots(layer, newest, 1);
  return freed;
}

bool Session::punch_hole(Layer& layer, int64_t slot) {
  layer.cache.mark_dead(slot);
  for (std::vector<float>* numbers : {&layer.slot_values, &step_->token_scores}) {
    if (!numbers->empty()) (*numbers)[static_cast<size_t>(slot)] = 0;
  }
  if (logits_of_newest_.num_slots() > 0) logits_of_newest_.leave_hole(slot, layer.cache.table().dead_slots());
  const int logical_index = static_cast<int>(slot / config_.block_size);
  if (layer.cache.table().num_live(logical_index) > 0) return false;
  logits_of_newest_.clear();  // slots move to other splits
  const int num_slots = layer.cache.table().filled(logical_index);
  const bool freed = layer.cache.evict(logical_index).freed;
  forget_slots(layer, int64_t{logical_index} * config_.block_size, num_slots);
  return freed;
}

// While there are holes for a block's worth, the tokens of the block with the fewest move into those of the
// others, the oldest first. The newest block keeps its place: the next token goes there.
bool Session::compact(Layer& layer) {
  bool freed = false;
  const BlockTable& table = layer.cache.table();
  while (table.num_slots() - table.kv_len() >= config_.block_size) {
    logits_of_newest_.clear();
    int source = -1;
    for (int index = 0; index + 1 < table.num_blocks(); ++index) {
      if (source < 0 || table.num_live(index) < table.num_live(source)) source = index;
    }
    const int64_t first = int64_t{source} * config_.block_size;
    int64_t hole = 0;
    for (int64_t slot = first; slot < first + config_.block_size; ++slot) {
      if (table.is_dead(slot)) continue;
      while ((hole >= first && hole < first + config_.block_size) || !table.is_dead(hole)) ++hole;
      move_slot(layer, slot, hole);
    }
    freed = layer.cache.evict(source).freed || freed;
    forget_slots(layer, first, config_.block_size);
  }
  return freed;
}

void Session::move_slot(Layer& layer, int64_t from, int64_t to) {
  layer.cache.copy_slot(from, to);
  for (std::vector<float>* numbers : {&layer.slot_values, &step_->token_scores}) {
    if (!numbers->empty()) (*numbers)[static_cast<size_t>(to)] = (*numbers)[static_cast<size_t>(from)];
  }
}

// Takes out what is kept of slots that left the table.
void Session::forget_slots(Layer& layer, int64_t first, int64_t count) {
  const int64_t num_rows = num_choosers();
  for (std::vector<float>* numbers : {&layer.slot_values, &step_->token_scores}) {
    if (numbers->empty()) continue;
    const auto begin = numbers->begin() + first * num_rows;
    numbers->erase(begin, begin + count * num_rows);
  }
}

}  // namespace octavo
