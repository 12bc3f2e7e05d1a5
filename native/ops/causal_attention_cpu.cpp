// Flash attention over tiles: keys are transposed and values copied into panels once, then each (query head,
// tile of queries) runs alone with a running softmax. Tasks are claimed one by one, longest first, since late
// queries see more keys than early ones.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "core/thread_pool.h"
#include "ops/causal_attention.h"
#include "ops/panel_simd.h"
#include "ops/softmax_simd.h"
#include "ops/widen.h"

namespace octavo {

namespace {

constexpr int64_t kQueriesPerTile =
    48;  // a multiple of the six rows that the panel product holds in registers
constexpr int64_t kTasksPerThread = 8;  // enough that no thread waits long for the last ones
constexpr int64_t kKeysPerTile = 128;   // a multiple of every panel's width

// Keys and values of one head, rows `stride` apart.
struct HeadRows {
  const float* key;
  const float* value;
  int64_t stride;
};

// rows(head, first, num_keys, scratch): keys and values from the first on; scratch holds a tile of each.
// num_visible(query): keys that it sees, those at the front; never fewer than the query before. Where there
// are none the output is 0.
template <typename Rows, typename NumVisible>
void attend(int num_query_heads, int num_kv_heads, int head_dim, const float* query, Rows&& rows,
            int64_t num_tokens, int64_t num_all_keys, float scale, float* output, NumVisible&& num_visible) {
  if (num_tokens <= 0) return;
  const PanelKernels& kernels = OCTAVO_PICK_SIMD(panel_kernels);
  const SoftmaxKernels& softmax = OCTAVO_PICK_SIMD(softmax_kernels);
  const int64_t width = kernels.panel_width;
  const int64_t query_stride = int64_t{num_query_heads} * head_dim;
  const int64_t num_tiles = (num_all_keys + kKeysPerTile - 1) / kKeysPerTile;
  const int64_t panels_per_tile = kKeysPerTile / width, value_panels = (head_dim + width - 1) / width;
  const int64_t padded_dim = value_panels * width;
  const int64_t keys_per_tile_size = panels_per_tile * head_dim * width;
  const int64_t values_per_tile_size = value_panels * kKeysPerTile * width;

  const int64_t num_query_tiles = (num_tokens + kQueriesPerTile - 1) / kQueriesPerTile;
  const int group_size = num_query_heads / num_kv_heads;
  // Copies of a few KV heads at a time: of all at once they would be as large as the layer's cache.
  const int64_t tasks_per_head = num_query_tiles * group_size;
  const int64_t num_tasks_wanted = kTasksPerThread * ThreadPool::shared().num_threads();
  const int64_t heads_per_pass =
      std::min<int64_t>(num_kv_heads, (num_tasks_wanted + tasks_per_head - 1) / tasks_per_head);
  std::vector<float> key_panels(static_cast<size_t>(heads_per_pass * num_tiles * keys_per_tile_size));
  std::vector<float> value_panels_memory(
      static_cast<size_t>(heads_per_pass * num_tiles * values_per_tile_size));
  for (int64_t first_kv_head = 0; first_kv_head < num_kv_heads; first_kv_head += heads_per_pass) {
    const int64_t num_heads = std::min(heads_per_pass, num_kv_heads - first_kv_head);
    const double copy_cost = static_cast<double>(num_all_keys) * num_heads * head_dim * 8;
    parallel_for_worthwhile(num_heads * num_tiles, copy_cost, [&](int64_t begin, int64_t end, int) {
      std::vector<float> scratch(static_cast<size_t>(2 * kKeysPerTile * head_dim));
      for (int64_t task = begin; task < end; ++task) {
        const int64_t head = first_kv_head + task / num_tiles, first = task % num_tiles * kKeysPerTile;
        const int64_t num_keys = std::min(kKeysPerTile, num_all_keys - first);
        const HeadRows from = rows(head, first, num_keys, scratch.data());
        for (int64_t panel = 0; panel * width < num_keys; ++panel)
          kernels.transpose(std::min(width, num_keys - panel * width), head_dim,
                            from.key + panel * width * from.stride, from.stride,
                            key_panels.data() + task * keys_per_tile_size + panel * head_dim * width);
        float* const tile = value_panels_memory.data() + task * values_per_tile_size;
        for (int64_t slot = 0; slot < num_keys; ++slot)
          for (int64_t i = 0; i < head_dim; i += width)
            std::copy_n(from.value + slot * from.stride + i, std::min(width, head_dim - i),
                        tile + (i / width * kKeysPerTile + slot) * width);
      }
    });

    const int64_t num_query_heads_now = num_heads * group_size,
                  num_tasks = num_query_tiles * num_query_heads_now;
    std::atomic<int64_t> next_task{0};
    const auto run_tasks = [&](int64_t, int64_t, int) {
      std::vector<float> scores(static_cast<size_t>(kQueriesPerTile * kKeysPerTile));
      std::vector<float> weighted(static_cast<size_t>(kQueriesPerTile * padded_dim));
      float maxima[kQueriesPerTile];
      double sums[kQueriesPerTile];
      for (int64_t task = next_task++; task < num_tasks; task = next_task++) {
        const int64_t first_query = (num_query_tiles - 1 - task / num_query_heads_now) * kQueriesPerTile;
        const int64_t head = first_kv_head * group_size + task % num_query_heads_now;
        const int64_t panels_head = head / group_size - first_kv_head;
        const int64_t num_queries = std::min(kQueriesPerTile, num_tokens - first_query);
        std::fill_n(maxima, num_queries, -std::numeric_limits<float>::infinity());
        std::fill_n(sums, num_queries, 0.0);
        std::fill(weighted.begin(), weighted.end(), 0.0f);
        const int64_t key_end = num_visible(first_query + num_queries - 1);  // for the tile's last query
        for (int64_t first_key = 0; first_key < key_end; first_key += kKeysPerTile) {
          const int64_t num_keys = std::min(kKeysPerTile, key_end - first_key);
          const int64_t tile = panels_head * num_tiles + first_key / kKeysPerTile;
          for (int64_t panel = 0; panel * width < num_keys; ++panel)
            kernels.multiply(num_queries, head_dim, query + first_query * query_stride + head * head_dim,
                             query_stride,
                             key_panels.data() + tile * keys_per_tile_size + panel * head_dim * width, false,
                             scores.data() + panel * width, kKeysPerTile);
          for (int64_t row = 0; row < num_queries; ++row) {
            float* const row_scores = scores.data() + row * kKeysPerTile;
            const int64_t visible =
                std::clamp<int64_t>(num_visible(first_query + row) - first_key, 0, num_keys);
            std::fill(row_scores + visible, row_scores + num_keys, 0.0f);
            if (visible == 0) continue;
            double tile_sum = 0;
            const float maximum = softmax.renew(row_scores, visible, scale, maxima[row], &tile_sum);
            if (maximum > maxima[row]) {
              const double correction =
                  std::exp(static_cast<double>(maxima[row]) - static_cast<double>(maximum));
              sums[row] *= correction;
              softmax.multiply(weighted.data() + row * padded_dim, padded_dim,
                               static_cast<float>(correction));
              maxima[row] = maximum;
            }
            sums[row] += tile_sum;
          }
          for (int64_t panel = 0; panel < value_panels; ++panel)
            kernels.multiply(
                num_queries, num_keys, scores.data(), kKeysPerTile,
                value_panels_memory.data() + tile * values_per_tile_size + panel * kKeysPerTile * width, true,
                weighted.data() + panel * width, padded_dim);
        }
        for (int64_t row = 0; row < num_queries; ++row) {
          const double sum = num_visible(first_query + row) > 0 ? sums[row] : 1;
          for (int64_t i = 0; i < head_dim; ++i)
            output[(first_query + row) * query_stride + head * head_dim + i] =
                static_cast<float>(weighted[static_cast<size_t>(row * padded_dim + i)] / sum);
        }
      }
    };
    const double cost = static_cast<double>(num_tokens) * num_all_keys * num_query_heads_now * head_dim;
    parallel_for_worthwhile(std::min<int64_t>(ThreadPool::shared().num_threads(), num_tasks), cost,
                            run_tasks);
  }
}

// Rows of [num_keys, num_kv_heads, head_dim], where they lie.
auto rows_in_place(const float* key, const float* value, int num_kv_heads, int head_dim) {
  return [=](int64_t head, int64_t first, int64_t, float*) {
    const int64_t stride = int64_t{num_kv_heads} * head_dim, at = first * stride + head * head_dim;
    return HeadRows{key + at, value + at, stride};
  };
}

}  // namespace

void causal_attention_cpu(int num_query_heads, int num_kv_heads, int head_dim, const float* query,
                          const float* key, const float* value, int64_t num_tokens, float scale,
                          float* output, int64_t first_position) {
  attend(num_query_heads, num_kv_heads, head_dim, query, rows_in_place(key, value, num_kv_heads, head_dim),
         num_tokens, first_position + num_tokens, scale, output,
         [=](int64_t token) { return first_position + token + 1; });
}

void causal_attention_over_kept_cpu(int num_query_heads, int num_kv_heads, int head_dim, const float* query,
                                    const KeptKeys& kept, int64_t num_tokens, float scale, float* output,
                                    int64_t first_position) {
  std::vector<int64_t> num_visible(static_cast<size_t>(std::max<int64_t>(0, num_tokens)));
  const int32_t* const end = kept.positions + kept.num_kept;
  int64_t num_seen = std::lower_bound(kept.positions, end, first_position) - kept.positions;
  for (int64_t token = 0; token < num_tokens; ++token) {
    if (num_seen < kept.num_kept && kept.positions[num_seen] == first_position + token) ++num_seen;
    num_visible[static_cast<size_t>(token)] = num_seen;
  }
  attend(num_query_heads, num_kv_heads, head_dim, query,
         rows_in_place(kept.key, kept.value, num_kv_heads, head_dim), num_tokens,
         num_tokens > 0 ? num_visible.back() : 0, scale, output,
         [&](int64_t token) { return num_visible[static_cast<size_t>(token)]; });
}

void causal_attention_over_cached_cpu(int num_query_heads, int num_kv_heads, int head_dim, const float* query,
                                      const CachedPrompt& cached, int64_t first_position, int64_t num_tokens,
                                      float scale, float* output) {
  const auto rows = [&](int64_t head, int64_t first, int64_t num_keys, float* scratch) {
    const HeadRows tile{scratch, scratch + num_keys * head_dim, head_dim};
    for (int64_t done = 0; done < num_keys;) {
      const int64_t slot = first + done, offset = slot % cached.block_size;
      const int64_t run = std::min(num_keys - done, cached.block_size - offset);
      const int64_t block = cached.block_table[slot / cached.block_size];
      const int64_t at = ((block * num_kv_heads + head) * cached.block_size + offset) * head_dim;
      copy_widened(cached.key_cache, cached.dtype, at, run * head_dim, scratch + done * head_dim);
      copy_widened(cached.value_cache, cached.dtype, at, run * head_dim,
                   scratch + (num_keys + done) * head_dim);
      done += run;
    }
    return tile;
  };
  attend(num_query_heads, num_kv_heads, head_dim, query, rows, num_tokens, first_position + num_tokens, scale,
         output, [&](int64_t token) { return first_position + token + 1; });
}

}  // namespace octavo
