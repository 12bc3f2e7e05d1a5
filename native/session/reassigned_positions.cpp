// Keys at their place in the cache, as if what was dropped had never been. RoPE knows differences only, so
// the newest tokens, between which nothing is missing, stay as they are, and the query keeps the position of
// its token; it is the few keys before a gap that move towards it, by as many positions as are missing after
// them. A moved key is always rotated from the one that was cached, so that no error adds up.
#include <algorithm>
#include <utility>

#include "ops/rope.h"
#include "session/session.h"

namespace octavo {

// newest: position of the layer's newest token.
void Session::reassign_positions(Layer& layer, int64_t newest) const {
  if (policy_->positions() == Positions::kOriginal) return;
  KvCache& cache = layer.cache;
  const auto head_dim = static_cast<size_t>(model_config().head_dim);
  const auto num_heads = static_cast<size_t>(model_config().num_kv_heads);
  std::vector<std::pair<int32_t, int64_t>> tokens;  // position, slot
  for (int64_t slot = 0; slot < cache.table().num_slots(); ++slot) {
    if (!cache.table().is_dead(slot)) tokens.emplace_back(cache.slot_position(slot), slot);
  }
  std::sort(tokens.begin(), tokens.end());
  MovedKeys moved_keys;
  std::vector<float> cosines(head_dim / 2), sines(head_dim / 2);
  for (size_t place = 0; place < tokens.size(); ++place) {
    const auto [position, slot] = tokens[place];
    const int64_t shift = newest - position - static_cast<int64_t>(tokens.size() - 1 - place);
    const auto known = layer.moved_keys.find(position);
    const bool was_moved = known != layer.moved_keys.end();
    if (shift == 0 && !was_moved) continue;
    MovedKey moved = was_moved ? known->second : MovedKey{.seen = {}, .shift = 0};
    if (!was_moved) {
      std::vector<float> seen(num_heads * head_dim);
      for (size_t head = 0; head < num_heads; ++head) {
        cache.read_key(slot, static_cast<int>(head), seen.data() + head * head_dim);
      }
      moved.seen = std::make_shared<const std::vector<float>>(std::move(seen));
    }
    if (std::exchange(moved.shift, shift) != shift) {
      std::vector<float> key = *moved.seen;
      rope_angles_cpu(&shift, 1, model_->rope_frequencies(), cosines.data(), sines.data());
      rope_cpu(cosines.data(), sines.data(), 1, static_cast<int>(num_heads), static_cast<int>(head_dim),
               key.data());
      cache.write_keys(slot, key.data());
    }
    moved_keys.emplace(position, std::move(moved));
  }
  layer.moved_keys = std::move(moved_keys);
}

// All keys back to where they were seen, for a policy that leaves them there.
void Session::restore_positions(Layer& layer) const {
  for (const auto& [position, moved] : layer.moved_keys) {
    layer.cache.write_keys(find_slot(layer.cache, position, 0), moved.seen->data());
  }
  layer.moved_keys.clear();
}

}  // namespace octavo
