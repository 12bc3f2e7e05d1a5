// Scores of the policies from their papers' definitions as our docs state them, in float64, for one layer of
// a run that a dense model captured. Shares no code with the engine.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "tiny_llama.h"

namespace octavo::test {

// One layer of a run, in float64.
struct LayerCase {
  const TinyLlama::Captured& captured;
  const LlamaConfig& config;
  int prompt_length;
  int only_kv_head = -1;  // the head that chooses for itself; -1: all choose together

  bool leaves_out(int kv_head) const { return only_kv_head >= 0 && kv_head != only_kv_head; }
  double dot(const std::vector<double>& a, size_t row_a, const std::vector<double>& b, size_t row_b) const {
    const auto dim = static_cast<size_t>(config.head_dim);
    double sum = 0;
    for (size_t i = 0; i < dim; ++i) sum += a[row_a * dim + i] * b[row_b * dim + i];
    return sum;
  }
  size_t key_row(int token, int head) const {
    return static_cast<size_t>(token * config.num_kv_heads + head);
  }

  // Probabilities of one query over some keys, averaged over query heads.
  std::map<int, double> attention(int query, const std::vector<int>& keys) const {
    std::map<int, double> mean;
    for (int head = 0; head < config.num_query_heads; ++head) {
      const int kv_head = head / (config.num_query_heads / config.num_kv_heads);
      if (leaves_out(kv_head)) continue;
      double sum = 0;
      std::map<int, double> weights;
      for (const int key : keys) {
        const double logit = dot(captured.query, static_cast<size_t>(query * config.num_query_heads + head),
                                 captured.key, key_row(key, kv_head)) /
                             std::sqrt(static_cast<double>(config.head_dim));
        sum += weights[key] = std::exp(logit);
      }
      for (const int key : keys) mean[key] += weights[key] / sum / config.num_query_heads;
    }
    return mean;
  }

  std::map<int, double> inverse_norms(const std::vector<int>& tokens) const {
    std::map<int, double> scores;
    for (const int token : tokens)
      for (int head = 0; head < config.num_kv_heads; ++head) {
        if (leaves_out(head)) continue;
        scores[token] +=
            1 / std::sqrt(dot(captured.key, key_row(token, head), captured.key, key_row(token, head))) /
            config.num_kv_heads;
      }
    return scores;
  }

  std::map<int, double> norm_ratios(const std::vector<int>& tokens) const {
    std::map<int, double> scores;
    for (const int token : tokens)
      for (int head = 0; head < config.num_kv_heads; ++head) {
        if (leaves_out(head)) continue;
        const size_t row = key_row(token, head);
        scores[token] += std::sqrt(dot(captured.value, row, captured.value, row) /
                                   dot(captured.key, row, captured.key, row)) /
                         config.num_kv_heads;
      }
    return scores;
  }

  std::map<int, double> distinctness(const std::vector<int>& tokens) const {
    std::map<int, double> scores;
    const auto dim = static_cast<size_t>(config.head_dim);
    for (int head = 0; head < config.num_kv_heads; ++head) {
      if (leaves_out(head)) continue;
      std::vector<double> anchor(dim, 0.0);
      for (const int token : tokens) {
        const size_t row = key_row(token, head);
        const double length = std::sqrt(dot(captured.key, row, captured.key, row));
        for (size_t i = 0; i < dim; ++i) anchor[i] += captured.key[row * dim + i] / length;
      }
      const double anchor_length = std::sqrt(dot(anchor, 0, anchor, 0));
      for (const int token : tokens) {
        const size_t row = key_row(token, head);
        scores[token] -= dot(captured.key, row, anchor, 0) / anchor_length /
                         std::sqrt(dot(captured.key, row, captured.key, row)) / config.num_kv_heads;
      }
    }
    return scores;
  }

  std::map<int, double> prompt_mass(int num_queries) const {
    std::map<int, double> mass;
    for (int query = prompt_length - num_queries; query < prompt_length; ++query) {
      std::vector<int> keys;
      for (int key = 0; key <= query; ++key) keys.push_back(key);
      for (const auto& [key, share] : attention(query, keys)) mass[key] += share;
    }
    return mass;
  }
};

inline std::vector<int> up_to(int end) {
  std::vector<int> tokens;
  for (int token = 0; token < end; ++token) tokens.push_back(token);
  return tokens;
}

// window: of snap-kv
inline std::map<int, double> prompt_scores(const std::string& policy, const LayerCase& layer, int window) {
  const int length = layer.prompt_length;
  if (policy == "paged-eviction") return layer.norm_ratios(up_to(length));
  if (policy == "inverse-key-norm") return layer.inverse_norms(up_to(length));
  if (policy == "key-diff") return layer.distinctness(up_to(length));
  if (policy == "tova") return layer.prompt_mass(1);
  if (policy == "h2o") return layer.prompt_mass(length);
  std::map<int, double> mass = layer.prompt_mass(window), pooled;
  const int end = length - window;
  for (int token = 0; token < end; ++token)
    for (int other = std::max(0, token - 2); other <= std::min(end - 1, token + 2); ++other)
      pooled[token] += mass[other] / 5;
  return pooled;
}

}  // namespace octavo::test
