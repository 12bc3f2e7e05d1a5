// Keys at their place in the cache, against a dense float64 model that rotates them anew for each query.
#include <algorithm>
#include <iterator>

#include "token_forms.h"

using namespace octavo;
using namespace octavo::test;

TEST("reassigned positions equal keys rotated anew to their place in the cache, also beyond maxPositions") {
  TinyLlama tiny(6);
  tiny.config.max_positions = kPrompt + 20;
  const auto model = tiny.open();
  for (const bool by_token : {false, true}) {
    for (const Holes holes : {Holes::kRecycle, Holes::kMask, Holes::kCompact}) {
      if (!by_token && holes != Holes::kRecycle) continue;
      const EvictionUnit unit = by_token ? EvictionUnit::kToken : EvictionUnit::kBlock;
      const Form form{"streaming-llm", unit, holes, Heads::kShared};
      SessionConfig config = config_of(form);
      REQUIRE_ERROR("ERR_OCTAVO_POSITION", run(model, config, some_tokens(kPrompt, 3), kDecoded, 1.0));
      config.policy.positions = Positions::kReassigned;
      if (by_token) config.policy.num_sinks = 3;
      const Run result = run(model, config, some_tokens(kPrompt, 3), kDecoded, 1.0);
      const Live live = live_positions(result.trace, tiny.config);
      const auto place = [&](int layer, int query, int key) {
        if (query < kPrompt) return key;
        const auto& held = live[static_cast<size_t>(query - kPrompt + 1)][static_cast<size_t>(layer)].front();
        return static_cast<int>(std::distance(held.begin(), held.lower_bound(key)));
      };
      // The prompt attends before anything goes.
      const auto expected = tiny.forward_placed(result.tokens, sees_of(live), place);
      const auto original = tiny.forward_placed(result.tokens, sees_of(live), kInPlace);
      const std::vector<float> actual = joined_rows(result.logits, 1);
      const std::vector<double> wanted = joined_rows(expected, kPrompt);
      const std::vector<double> unmoved = joined_rows(original, kPrompt);
      REQUIRE_EQUAL(actual.size(), wanted.size());
      const auto count = static_cast<int64_t>(actual.size());
      compare(form.name() + " reassigned", actual.data(), wanted.data(), count, 1e-6, 1e-4);
      REQUIRE(difference(actual.data(), unmoved.data(), count).relative_l2 > 1e-3);

      // Through stops, snapshots in the middle of a step, and forks to a policy that moves nothing.
      for (const int64_t history : {0, 5}) {
        config.history = history;
        Session session(model, config);
        session.prefill(some_tokens(kPrompt, 3));
        advance(session, steps(16, 1.0));
        AdvanceRequest request = steps(20, 1.0);
        request.stop = {.evict = true, .layer = 1};
        const AdvanceResult stopped = advance(session, request);
        REQUIRE(stopped.event);
        const auto first = static_cast<size_t>(16 + stopped.num_steps);
        const int64_t inside = session.take_snapshot();
        const auto fork = session.fork({});
        ForkConfig changes;
        changes.policy = config_of(form).policy;
        session.fork(changes);
        for (size_t step = first; step < first + 12; ++step) {
          advance(session, steps(1, 1.0));
          advance(*fork, steps(1, 1.0));
          REQUIRE(logits_of(session) == result.logits[step]);
          REQUIRE(logits_of(*fork) == result.logits[step]);
        }
        session.rewind_to_snapshot(inside);
        advance(session, steps(1, 1.0));
        REQUIRE(logits_of(session) == result.logits[first]);
      }
    }
  }
}

TEST("a 16-bit cache rounds a moved key once, however often it moved") {
  const TinyLlama tiny(6);
  const auto model = tiny.open();
  for (const DType dtype : {DType::kBf16, DType::kF16}) {
    const double half_unit = dtype == DType::kBf16 ? 0x1p-9 : 0x1p-12;  // of a number's power of two
    for (const EvictionUnit unit : {EvictionUnit::kToken, EvictionUnit::kBlock}) {
      SessionConfig config = config_of({"streaming-llm", unit, Holes::kRecycle, Heads::kShared});
      config.kv_dtype = dtype;
      config.policy.positions = Positions::kReassigned;
      SessionConfig full = session_config("full", kBlockSize, 0);
      full.kv_dtype = dtype;
      Session moving(model, config), seen(model, full);
      for (Session* session : {&moving, &seen}) {
        session->prefill(some_tokens(kPrompt, 3));
        advance(*session, steps(1));
        AdvanceRequest request = steps(kDecoded);
        request.forced_tokens = some_tokens(kDecoded, 9);
        advance(*session, request);
      }
      // Keys of layer 0 depend on nothing but their token and its position.
      const KvCache& cache = moving.layer_cache(0);
      const int64_t num_held = cache.table().num_slots();
      std::vector<int32_t> held;
      for (int64_t slot = 0; slot < num_held; ++slot) held.push_back(cache.slot_position(slot));
      std::sort(held.begin(), held.end());
      int num_moved = 0;
      for (int64_t slot = 0; slot < num_held; ++slot) {
        const int32_t position = cache.slot_position(slot);
        const auto num_newer =
            static_cast<int>(held.end() - std::upper_bound(held.begin(), held.end(), position));
        const int shift = held.back() - num_newer - position;
        num_moved += shift > 0 ? 1 : 0;
        for (int head = 0; head < tiny.config.num_kv_heads; ++head) {
          std::vector<float> key(6), cached(6);
          cache.read_key(slot, head, key.data());
          seen.layer_cache(0).read_key(position, head, cached.data());
          std::vector<double> rotated(cached.begin(), cached.end());
          tiny.rotate(rotated, shift);
          for (size_t i = 0; i < key.size(); ++i) {
            REQUIRE(std::fabs(key[i] - rotated[i]) <= half_unit * 2 * std::fabs(rotated[i]) + 1e-6);
          }
        }
      }
      REQUIRE_EQUAL(num_moved, 4);
    }
  }
}

TEST("a fork that reassigns positions closes its parent's gaps as it begins") {
  const TinyLlama tiny(6);
  const auto model = tiny.open();
  const Form form{"streaming-llm", EvictionUnit::kBlock, Holes::kRecycle, Heads::kShared};
  SessionConfig original = config_of(form), reassigned = original;
  reassigned.policy.positions = Positions::kReassigned;
  Session parent(model, original), expected(model, reassigned);
  for (Session* session : {&parent, &expected}) {
    session->prefill(some_tokens(kPrompt, 3));
    AdvanceRequest request = steps(1 + kDecoded);
    request.forced_tokens = some_tokens(kDecoded, 9);
    advance(*session, request);
  }
  ForkConfig changes;
  changes.policy = config_of(form, kBudget + 2 * kBlockSize).policy;  // so that nothing goes for some steps
  changes.policy->positions = Positions::kReassigned;
  const auto fork = parent.fork(changes);
  // Keys of layer 0 depend on nothing but their token and its position.
  const auto keys_of = [&](const Session& session) {
    std::vector<float> keys;
    const KvCache& cache = session.layer_cache(0);
    for (int64_t slot = 0; slot < cache.table().num_slots(); ++slot) {
      for (int head = 0; head < tiny.config.num_kv_heads; ++head) {
        keys.resize(keys.size() + 6);
        cache.read_key(slot, head, keys.data() + keys.size() - 6);
      }
    }
    return keys;
  };
  const std::vector<float> before = keys_of(parent), wanted = keys_of(expected), actual = keys_of(*fork);
  REQUIRE_EQUAL(actual.size(), wanted.size());
  const auto count = static_cast<int64_t>(wanted.size());
  REQUIRE(difference(before.data(), wanted.data(), count).relative_l2 > 1e-2);
  compare("keys of the fork's first layer", actual.data(), wanted.data(), count, 1e-6, 1e-5);

  changes.policy->positions = Positions::kOriginal;  // and back: its parent's keys, to the bit
  REQUIRE(keys_of(*fork->fork(changes)) == before);
  REQUIRE(keys_of(parent) == before);
}

TEST("a fork that moves keys takes place or, where a pool cannot take its copies, changes nothing") {
  const auto model = TinyLlama(6).open();
  const Form form{"streaming-llm", EvictionUnit::kBlock, Holes::kRecycle, Heads::kShared};
  int num_forked = 0, num_refused = 0, num_refused_late = 0;
  for (const bool reassigns : {false, true}) {
    const Positions of_parent = reassigns ? Positions::kOriginal : Positions::kReassigned;
    for (int num_blocks = 5; num_blocks < 20; ++num_blocks) {
      SessionConfig config = config_of(form);
      config.num_blocks = num_blocks;
      config.policy.layer_budgets = {12, 24, 16};
      config.policy.positions = of_parent;
      Session parent(model, config), twin(model, config);
      const auto decode = [](Session& session, int64_t count) { advance(session, steps(count, 1.0)); };
      try {
        for (Session* session : {&parent, &twin}) {
          session->prefill(some_tokens(kPrompt, 3));
          decode(*session, 1 + 10);
        }
      } catch (const Error&) {
        continue;  // too small a pool for the parent alone
      }
      ForkConfig changes;
      changes.policy = config.policy;
      changes.policy->positions = reassigns ? Positions::kReassigned : Positions::kOriginal;
      const std::string before = state_of(parent);
      try {
        const auto fork = parent.fork(changes);
        ++num_forked;
      } catch (const Error& error) {
        REQUIRE_EQUAL(error.code(), std::string("ERR_OCTAVO_POOL_EXHAUSTED"));
        ++num_refused;
        num_refused_late += parent.layer_cache(0).pool_counts().num_free > 0 ? 1 : 0;
      }
      REQUIRE_EQUAL(state_of(parent), before);
      decode(parent, 12);
      decode(twin, 12);
      REQUIRE(parent.tokens() == twin.tokens() && logits_of(parent) == logits_of(twin));
    }
  }
  REQUIRE(num_forked > 0 && num_refused > 0 && num_refused_late > 0);
}
