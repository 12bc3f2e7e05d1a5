// A completed step's rows. Sharing one key and value width over layers, bytes follow from counts.
#include "session/session.h"

namespace octavo {

void Session::record_step(float entropy) {
  const Step& step = *step_;
  const auto step_index = static_cast<int32_t>(step.index);
  for (const EvictionRow& row : step.evictions) recorder_.record(row);

  const double bytes_per_token = 2.0 *
                                 static_cast<double>(dtype_size_bytes(layers_.front().cache.shape().dtype)) *
                                 model_config().num_kv_heads * model_config().head_dim;
  for (size_t index = 0; index < layers_.size(); ++index) {
    const KvCache& cache = layers_[index].cache;
    const BlockTable& table = cache.table();
    const PoolCounts pool = cache.pool_counts();
    const auto layer_index = static_cast<int32_t>(index);
    if (config_.record_blocks) {
      for (int logical_index = 0; logical_index < table.num_blocks(); ++logical_index) {
        for (int row = 0; row < cache.num_position_rows(); ++row) {
          std::vector<int32_t> positions;
          const int64_t first = int64_t{logical_index} * table.block_size();
          for (int64_t slot = first; slot < first + table.filled(logical_index); ++slot) {
            positions.push_back(table.is_dead(slot) ? -1 : cache.slot_position(slot, row));
          }
          recorder_.record(BlockRow{.step_index = step_index,
                                    .layer_index = layer_index,
                                    .logical_index = logical_index,
                                    .block_id = table.block_id(logical_index),
                                    .kv_head = cache.num_position_rows() == 1 ? -1 : row,
                                    .score = table.score(logical_index),
                                    .positions = positions.data(),
                                    .filled = table.filled(logical_index)});
        }
      }
    }
    recorder_.record(MemoryRow{.step_index = step_index,
                               .layer_index = layer_index,
                               .live_tokens = table.kv_len(),
                               .allocated_tokens = table.allocated_tokens(),
                               .num_blocks = table.num_blocks(),
                               .num_free_blocks = pool.num_free,
                               .num_parked_blocks = pool.num_parked,
                               .bytes_per_token = bytes_per_token,
                               .num_nan_scores = layers_[index].num_nan_scores});
  }
  if (config_.record_logits) recorder_.record(LogitsRow{step_index, next_logits_});
  recorder_.record(StepRow{.step_index = step_index,
                           .phase = step.phase,
                           .token_id = step.tokens.back(),
                           .position_index = static_cast<int32_t>(activations_.positions.back()),
                           .num_tokens = static_cast<int32_t>(step.tokens.size()),
                           .forced = step.forced,
                           .token_logprob = step.token_logprob,
                           .entropy = entropy,
                           .total_us = step.total_us,
                           .attention_us = step.attention_us,
                           .score_us = step.score_us,
                           .evict_us = step.evict_us});
}

}  // namespace octavo
