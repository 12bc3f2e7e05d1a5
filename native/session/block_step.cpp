// Blocks that go in decode, each time the newest is full over budget.
#include <utility>

#include "core/check.h"
#include "session/session.h"

namespace octavo {

TableView Session::table_view() const {
  const BlockTable& table = layers_[static_cast<size_t>(step_->layer)].cache.table();
  return {.layer = step_->layer,
          .step_index = step_->index,
          .num_blocks = table.num_blocks(),
          .kv_len = table.kv_len(),
          .scores = table.scores().data()};
}

void Session::choose_block() {
  Step& step = *step_;
  step.next_choice = 0;
  if (shares_choices() && step.layer > 0) return take_shared_choices();
  std::optional<Choice> choice =
      shares_choices() ? choose_shared_block() : policy_[step.layer].choose_block(table_view());
  if (choice) step.choices.push_back({.choice = *std::move(choice)});
}

void Session::decide_on_block(int chosen) {
  Step& step = *step_;
  const BlockTable& table = layers_[static_cast<size_t>(step.layer)].cache.table();
  if (chosen < 0 || chosen > table.num_blocks() - 2) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected a logical block index from 0 to " + std::to_string(table.num_blocks() - 2) +
                    " (the newest block must stay) but received " + std::to_string(chosen));
  }
  step.choices.front().choice.score = table.score(chosen);
  replace_choice(step.choices.front(), chosen);
}

void Session::drop_block() {
  Step& step = *step_;
  Layer& layer = layers_[static_cast<size_t>(step.layer)];
  EvictEvent event = evict_event(0);
  const int logical_index = *event.logical_index;
  const int num_slots = layer.cache.table().filled(logical_index);
  const EvictedBlock evicted = layer.cache.evict(logical_index);
  forget_slots(layer, int64_t{logical_index} * config_.block_size, num_slots);
  logits_of_newest_.clear();
  const bool by_user = step.choices.front().decided_by_user;
  if (evicted.positions.size() == 1) return note_eviction(std::move(event), by_user, evicted.freed);
  for (size_t head = 0; head < evicted.positions.size(); ++head) {  // a row of each
    event.kv_head = static_cast<int>(head);
    event.positions = evicted.positions[head];
    note_eviction(event, by_user, evicted.freed);
  }
}

}  // namespace octavo
