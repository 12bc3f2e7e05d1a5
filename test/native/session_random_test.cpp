// A family of sessions under a long random run of prefill, step, veto, stop, fork, snapshot, rewind and end,
// against a plain account of where each stands: the same steps from the start must always give the same bits,
// and every so often a session with neither forks nor history takes them anew. OCTAVO_RANDOM_OPERATIONS sets
// the run's length.
#include <cstdlib>
#include <map>
#include <random>

#include "session_runs.h"
#include "tiny_llama.h"

using namespace octavo;
using namespace octavo::test;

namespace {

constexpr int kNumBlocks = 40, kBlockSize = 4;
constexpr int64_t kLongest = 70;

// One thing that was fed: a prompt, or a token whose evictions were taken or vetoed.
struct Action {
  bool is_prompt, veto;
  int32_t token;  // or the prompt's number
  auto operator<=>(const Action&) const = default;
};
using Path = std::vector<Action>;

struct Member {
  std::unique_ptr<Session> session;
  Path path;
  std::map<int64_t, Path> snapshots;
};

SessionConfig family_config(const std::string& policy) {
  SessionConfig config = session_config(policy, kBlockSize, 12);
  config.num_blocks = kNumBlocks;
  config.record_blocks = false;
  config.history = 4;
  return config;
}

std::vector<int32_t> prompt(int32_t number) {
  return some_tokens(5 + 9 * number, static_cast<unsigned>(number));
}

int64_t num_tokens(const Path& path) {
  int64_t count = 0;
  for (const Action& action : path)
    count += action.is_prompt ? static_cast<int64_t>(prompt(action.token).size()) : 1;
  return count;
}

void act(Session& session, const Action& action) {
  AdvanceRequest request = steps(1);
  if (action.is_prompt)
    session.prefill(prompt(action.token));
  else
    request.forced_tokens = {action.token};
  request.stop.evict = action.veto;
  AdvanceResult result = advance(session, request);
  while (result.reason == StopReason::kEvent) {
    request.forced_tokens.clear();
    request.decision.reset();
    if (!action.is_prompt) request.decision = Decision{};
    result = advance(session, request);
  }
  REQUIRE(result.reason == StopReason::kSteps && result.num_steps == 1);
}

void mix(uint64_t& digest, const void* bytes, size_t size) {
  for (size_t at = 0; at < size; at += sizeof(uint32_t)) {
    uint32_t word;
    std::memcpy(&word, static_cast<const char*>(bytes) + at, sizeof word);
    digest = (digest ^ word) * 0x100000001b3;
  }
}

// Of logits, of what each layer holds, and of the keys and values in it; not of the ids of blocks, which
// forks change.
uint64_t digest_of(const Session& session) {
  uint64_t digest = 0xcbf29ce484222325;
  if (session.num_tokens() > 0) mix(digest, session.logits().data, session.logits().size_bytes());
  for (int64_t layer = 0; layer < session.model_config().num_layers; ++layer) {
    const KvCache& cache = session.layer_cache(layer);
    const size_t row = static_cast<size_t>(cache.shape().head_dim);
    for (int index = 0; index < cache.table().num_blocks(); ++index) {
      const std::vector<int32_t> positions = cache.live_positions(index);
      mix(digest, positions.data(), positions.size() * sizeof(int32_t));
      const int32_t block_id = cache.table().block_id(index);
      for (size_t head = 0; head < static_cast<size_t>(cache.shape().num_kv_heads); ++head) {
        const size_t first = head * kBlockSize * row;
        mix(digest, cache.block_keys(block_id) + first * sizeof(float),
            positions.size() * row * sizeof(float));
        mix(digest, cache.block_values(block_id) + first * sizeof(float),
            positions.size() * row * sizeof(float));
      }
    }
  }
  return digest;
}

// Ends the family: every block must come back.
void require_all_blocks(std::vector<Member>& members) {
  Member last = std::move(members.front());
  members.clear();
  for (const auto& [id, path] : last.snapshots) last.session->drop_snapshot(id);
  last.session->rewind(RewindUnit::kTokens, 0);
  for (int64_t layer = 0; layer < last.session->model_config().num_layers; ++layer) {
    const LayerState state = last.session->layer_state(layer);
    REQUIRE_EQUAL(state.num_free_blocks, kNumBlocks);
    REQUIRE_EQUAL(state.num_parked_blocks, 0);
  }
}

}  // namespace

TEST("random interleavings of prefill, step, veto, stop, fork, snapshot, rewind and end") {
  const char* asked = std::getenv("OCTAVO_RANDOM_OPERATIONS");
  const int64_t num_operations = asked ? std::atoll(asked) : 100000;
  const TinyLlama tiny(5);
  const auto model = tiny.open();
  std::mt19937 random(11);
  const auto below = [&](size_t limit) { return static_cast<size_t>(random() % limit); };
  const std::vector<std::string> policies = native_policy_names();
  std::string policy;
  std::vector<Member> members;
  std::map<Path, uint64_t> known;  // of this family's policy
  int64_t num_steps = 0, num_again = 0, num_anew = 0, num_rewinds = 0, num_exhausted = 0, num_stops = 0,
          num_forks = 0;
  for (int64_t operation = 0; operation < num_operations; ++operation) {
    if (operation % 2000 == 0) {
      if (!members.empty()) require_all_blocks(members);
      known.clear();
      policy = policies[static_cast<size_t>(operation / 2000) % policies.size()];
      members.push_back({std::make_unique<Session>(model, family_config(policy)), {}, {}});
    }
    const size_t chosen = below(members.size());
    Member& member = members[chosen];
    Session& session = *member.session;
    const size_t kind = below(100);
    bool moved = false;
    if (kind < 60) {
      if (num_tokens(member.path) >= kLongest) continue;
      const Action action{.is_prompt = member.path.empty(),
                          .veto = !member.path.empty() && below(8) == 0,
                          .token = static_cast<int32_t>(below(3))};
      try {
        act(session, action);
        member.path.push_back(action);
        ++num_steps;
      } catch (const Error& error) {
        REQUIRE_EQUAL(std::string(error.code()), "ERR_OCTAVO_POOL_EXHAUSTED");
        // The prompt is still waiting; going back to nothing forgets it.
        if (member.path.empty()) session.rewind(RewindUnit::kTokens, 0);
        ++num_exhausted;
        if (!member.snapshots.empty()) {
          session.drop_snapshot(member.snapshots.begin()->first);
          member.snapshots.erase(member.snapshots.begin());
        }
      }
      moved = true;
    } else if (kind < 68) {  // stops in a step, and takes it back by going to where it began
      if (member.path.empty() || num_tokens(member.path) >= kLongest) continue;
      AdvanceRequest request = steps(1);
      request.stop.layer_end = true;
      request.stop.layer = static_cast<int>(below(3));
      try {
        REQUIRE(advance(session, request).reason == StopReason::kEvent);
        REQUIRE(session.is_inside_step());
        if (below(2) == 0) {
          session.rewind(RewindUnit::kTokens, num_tokens(member.path));
        } else {
          const int64_t id = session.take_snapshot();
          session.rewind_to_snapshot(id);
          session.drop_snapshot(id);
        }
        ++num_stops;
      } catch (const Error& error) {
        REQUIRE_EQUAL(std::string(error.code()), "ERR_OCTAVO_POOL_EXHAUSTED");
      }
      REQUIRE(!session.is_inside_step());
      moved = true;
    } else if (kind < 74) {
      if (members.size() > 4 || member.path.empty()) continue;
      std::unique_ptr<Session> fork = session.fork({});
      const Path path = member.path;
      members.push_back({std::move(fork), path, {}});
      ++num_forks;
    } else if (kind < 81) {
      if (member.path.empty()) continue;
      if (member.snapshots.size() > 2) {
        const auto oldest = member.snapshots.begin();
        session.drop_snapshot(oldest->first);
        member.snapshots.erase(oldest);
      }
      member.snapshots[session.take_snapshot()] = member.path;
    } else if (kind < 88) {
      if (member.snapshots.empty()) continue;
      auto snapshot = member.snapshots.begin();
      std::advance(snapshot, static_cast<int64_t>(below(member.snapshots.size())));
      session.rewind_to_snapshot(snapshot->first);
      member.path = snapshot->second;
      ++num_rewinds;
      moved = true;
    } else if (kind < 95) {
      const std::vector<int32_t> points = session.rewind_points();
      const int64_t target = points.empty() || below(6) == 0 ? 0 : points[below(points.size())];
      session.rewind(RewindUnit::kTokens, target);
      while (num_tokens(member.path) > target) member.path.pop_back();
      REQUIRE_EQUAL(num_tokens(member.path), target);
      ++num_rewinds;
      moved = true;
    } else if (members.size() > 1 && below(2) == 0) {
      members.erase(members.begin() + static_cast<int64_t>(chosen));
    }
    if (!moved) continue;
    REQUIRE_EQUAL(session.num_tokens(), num_tokens(member.path));
    const uint64_t digest = digest_of(session);
    const auto [entry, is_new] = known.try_emplace(member.path, digest);
    REQUIRE_EQUAL(digest, entry->second);
    num_again += is_new ? 0 : 1;
    if (operation % 64 == 0) {
      Session anew(model, family_config(policy));
      for (const Action& action : member.path) act(anew, action);
      REQUIRE_EQUAL(digest, digest_of(anew));
      ++num_anew;
    }
    session.take_trace();
  }
  require_all_blocks(members);
  std::printf(
      "     %lld operations: %lld steps, %lld stops, %lld forks, %lld rewinds, %lld refused; %lld states met "
      "again, "
      "%lld made anew\n",
      static_cast<long long>(num_operations), static_cast<long long>(num_steps),
      static_cast<long long>(num_stops), static_cast<long long>(num_forks),
      static_cast<long long>(num_rewinds), static_cast<long long>(num_exhausted),
      static_cast<long long>(num_again), static_cast<long long>(num_anew));
  REQUIRE(num_again > num_operations / 10 && num_anew > num_operations / 200);
  REQUIRE(num_exhausted > 0 && num_stops > 100 && num_forks > 50);
}
