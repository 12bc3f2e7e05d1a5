// What an eviction policy is: it scores and chooses, and returns its choice. It never sees the cache, drops
// nothing and records nothing. To add one: a file with a class, and one line in registry.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace octavo {

// What a token's score is, from the Euclidean norms of its key and value in each KV head.
enum class TokenScore {
  kValueKeyRatio,         // mean over heads of |V| / |K|
  kValueKeyRatioOfMeans,  // mean |V| / mean |K|
  kValueNorm,             // mean |V|
  kInverseKeyNorm,        // mean 1 / |K|
  kKeyValueNormSum,       // mean of |K| + |V|
};
// Which blocks may go in decode: all unprotected ones, or the oldest three of them.
enum class Candidates { kGlobal, kLocal };
// Which last tokens of a prompt are protected: those of its last block, or those and one block more.
enum class TailProtect { kPage, kPageAndRemainder };
// Whose scores decide where all layers share one decision: the first layer's, or the mean of scores or of
// ranks over layers.
enum class SharedBy { kLayer0, kMeanScore, kMeanRank };
// Whether a prompt attends to all of itself and is cut then, or is cut first and attends to what stays.
enum class PrefillAttention { kFull, kEvicted };
// What snap-kv makes of neighbouring tokens' scores: their mean, or the largest.
enum class Pooling { kMean, kMaximum };

// What leaves at once in decode: a block each time the newest is full over budget, or a token a step.
enum class EvictionUnit { kBlock, kToken };
// What becomes of the slot of a token that goes in decode: the newest token takes it; it stays as a hole; or
// it stays until there are holes for a block's worth, when the sparsest block's tokens move into them.
enum class Holes { kRecycle, kMask, kCompact };
// Who chooses: a layer for all its KV heads, or each of them for itself. Each keeps equally many tokens.
enum class Heads { kShared, kPerHead };
// Where kept keys stand: where they were seen, or at their place in the cache.
enum class Positions { kOriginal, kReassigned };

// What the session measures for a policy's scores.
enum class Evidence {
  kNone,           // nothing: age or chance decides
  kNorms,          // norms of a token's own key and value; a block is scored once, when it is full
  kKeys,           // how each key stands to all live ones; all blocks are scored as the newest fills
  kLastQuery,      // attention of the newest query; all blocks are scored as the newest fills
  kAttentionMass,  // attention summed over all queries so far; all blocks are scored as the newest fills
  kPromptQueries,  // attention of the prompt's last queries; decode scores nothing
  kCaller,         // nothing: the session's caller scores blocks
};

inline bool scores_by_attention(Evidence evidence) {
  return evidence == Evidence::kLastQuery || evidence == Evidence::kAttentionMass ||
         evidence == Evidence::kPromptQueries;
}

struct PolicyConfig {
  std::string name;
  std::optional<int64_t> budget;  // KV tokens kept per layer; a multiple of block_size, at least three blocks
  std::vector<int64_t> layer_budgets;  // in place of budget: one a layer; empty: the same in all
  TokenScore score = TokenScore::kValueKeyRatio;
  Candidates candidates = Candidates::kGlobal;
  TailProtect tail_protect = TailProtect::kPage;
  std::optional<int64_t> window;     // snap-kv: last queries of the prompt, which score its tokens and stay
  int64_t pooling_width = 5;         // snap-kv: neighbours pooled, odd
  Pooling pooling = Pooling::kMean;  // snap-kv
  bool normalised = false;           // h2o: what a token got is divided by how many queries could see it
  std::optional<SharedBy> shared;    // one decision for all layers; none: each layer makes its own
  PrefillAttention prefill_attention = PrefillAttention::kFull;
  bool sums_attention = false;  // custom: what queries gave each token is summed up for its scores
  uint64_t seed = 0;            // random: key of its generator
  EvictionUnit unit = EvictionUnit::kBlock;
  Holes holes = Holes::kRecycle;  // only with tokens as unit
  Heads heads = Heads::kShared;
  Positions positions = Positions::kOriginal;  // streaming-llm
  std::optional<int64_t> num_sinks;            // streaming-llm: first tokens, which never go
  std::optional<int64_t> num_recent;           // h2o: newest tokens, which stay whatever their scores
  bool protect_newest = true;                  // tova
  std::vector<int32_t> skip_layers;            // inverse-key-norm: layers that keep everything
};

// Norms of some tokens; |x| of token t and head h stands at [t * token_stride + h * head_stride].
struct TokenNorms {
  const float* key;
  const float* value;
  int64_t num_tokens;
  int num_kv_heads;
  int64_t token_stride;
  int64_t head_stride;
};

// Scores, higher is kept. A NaN becomes +infinity, so that its token is kept, and is counted.
struct TokenScores {
  std::vector<float> values;  // [num_tokens]
  int num_nan = 0;
};

// A layer's prompt right after its attention; token i stands at position i.
struct PromptView {
  int layer;
  int64_t step_index;
  std::optional<int> kv_head;  // where each chooses for itself
  int64_t num_tokens;
  const float* scores;  // [num_tokens], or null for a policy without evidence
};

// A layer's block table when its newest block has just become full.
struct TableView {
  int layer;
  int64_t step_index;
  int num_blocks;
  int64_t kv_len;
  const float* scores;  // [num_blocks] in logical order, NaN where a block has none
};

// The slots of a layer in decode, or of one of its KV heads, in their order.
struct CacheView {
  int layer;
  int64_t step_index;
  std::optional<int> kv_head;          // where each chooses for itself
  int64_t num_seen;                    // tokens so far; the newest stands at num_seen - 1
  std::span<const int32_t> positions;  // -1 in holes
  std::span<const float> scores;       // of the same slots; empty for a policy without evidence
  bool lists_candidates = true;        // whether the choice shall list what it was made among
};

struct Choice {
  std::vector<int32_t> dropped;     // ascending: positions of tokens, or one logical block index
  float score;                      // the highest among what is dropped
  float runner_up_score;            // the lowest among the candidates that stay; NaN when none does
  std::vector<int32_t> candidates;  // ascending; tokens of a cache in the order of their slots, if asked for
  std::vector<float> candidate_scores;  // in the same order
};

// Immutable: layers and sessions may share one, on any thread.
class Policy {
 public:
  explicit Policy(const PolicyConfig& config);
  virtual ~Policy() = default;

  EvictionUnit unit() const { return unit_; }
  Holes holes() const { return holes_; }
  Heads heads() const { return heads_; }
  Positions positions() const { return positions_; }
  // Whether anything goes in a layer; the session asks nothing else of those that keep everything.
  bool evicts_in(int layer) const;

  virtual Evidence evidence() const { return Evidence::kNone; }
  // Whether the session sums up what all queries so far gave each token.
  virtual bool sums_attention() const { return evidence() == Evidence::kAttentionMass; }
  // Only with Evidence::kNorms.
  virtual TokenScores score_tokens(const TokenNorms& norms) const;
  // Only with evidence of attention: how many of a prompt's last queries count, 1 to num_tokens.
  virtual int64_t num_prompt_queries(int64_t) const { return 1; }
  // Only with evidence of attention: scores of a prompt's tokens from what those queries gave them.
  virtual std::vector<float> score_prompt(std::vector<float> mass) const { return mass; }
  // Only with Evidence::kAttentionMass: whether what a token got is divided by how many queries could see it
  // since the sum began, at least 1.
  virtual bool divides_mass() const { return false; }
  // How many tokens of a prompt stay; the session reserves blocks for them.
  virtual int64_t prompt_tokens_kept(int64_t num_tokens) const = 0;
  // Prompt tokens to drop, num_tokens - prompt_tokens_kept(num_tokens) of them; none when that is 0.
  virtual std::optional<Choice> choose_tokens(const PromptView& prompt) const = 0;
  // Only with Evidence::kCaller: the blocks that the caller must score before choose_block, ascending.
  virtual std::vector<int32_t> blocks_to_score(const TableView&) const { return {}; }
  // Only with blocks as unit: the block to drop, if any.
  virtual std::optional<Choice> choose_block(const TableView& table) const = 0;
  // Only with tokens as unit: how many of so many live tokens are too many.
  virtual int64_t tokens_over_budget(int64_t) const { return 0; }
  // Only with tokens as unit: num_dropped tokens of a cache to drop; none when so many may not go.
  virtual std::optional<Choice> choose_cached_tokens(const CacheView&, int64_t /*num_dropped*/) const {
    return std::nullopt;
  }

 private:
  EvictionUnit unit_;
  Holes holes_;
  Heads heads_;
  Positions positions_;
  std::vector<int32_t> skip_layers_;
};

}  // namespace octavo
