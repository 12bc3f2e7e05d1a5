// Who runs: arrival, admission, preemption by swap, the end. A sequence is let in when the pools can take its
// prompt and a token more beside what the running ones need for theirs; those swapped out come back before
// anyone new of their priority is let in.
#include "session/batch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/check.h"
#include "session/stopwatch.h"

namespace octavo {

namespace {

constexpr double kNotYet = std::numeric_limits<double>::quiet_NaN();

// Of keys and values in its tables' blocks.
double bytes_held(const Session& session) {
  double bytes = 0;
  for (int layer = 0; layer < session.model_config().num_layers; ++layer) {
    const KvCache& cache = session.layer_cache(layer);
    const double of_block = static_cast<double>(cache.keys().size_bytes() + cache.values().size_bytes()) /
                            cache.shape().num_blocks;
    bytes += of_block * std::max(1, cache.table().num_blocks());
  }
  return bytes;
}

// Who gives way before a sequence, and comes back after it.
auto goes_on_after(const auto& sequence) {
  return [place = std::pair(sequence->request.priority, sequence->admitted_us)](const auto& other) {
    return std::pair(other->request.priority, other->admitted_us) > place;
  };
}

}  // namespace

Batch::Batch(std::shared_ptr<const LlamaModel> model, const BatchConfig& config)
    : model_(std::move(model)), config_(config) {
  if (config.max_sequences < 1) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected at least 1 for maxSequences but received " + std::to_string(config.max_sequences));
  }
  if (config.block_size < 1 || config.block_size > 256) {
    throw Error("ERR_OCTAVO_ARGUMENT",
                "Expected 1 to 256 for blockSize but received " + std::to_string(config.block_size));
  }
  for (int layer = 0; layer < model_config().num_layers; ++layer) {
    arenas_.push_back(std::make_shared<KvArena>(KvCacheShape{.num_blocks = config.num_blocks,
                                                             .num_kv_heads = model_config().num_kv_heads,
                                                             .block_size = config.block_size,
                                                             .head_dim = model_config().head_dim,
                                                             .dtype = config.kv_dtype}));
  }
}

// From any thread: only sessions that were made of them look at them.
void Batch::make_arenas_by_head() {
  std::call_once(made_arenas_by_head_, [&] {
    std::vector<std::shared_ptr<KvArena>> made;
    for (const auto& arena : arenas_) made.push_back(KvArena::with_positions_by_head(*arena));
    arenas_by_head_ = std::move(made);
  });
}

const std::vector<std::shared_ptr<KvArena>>& Batch::arenas_of(const Session& session) const {
  return session.layer_cache(0).shape().per_head ? arenas_by_head_ : arenas_;
}

Batch::Added Batch::add(BatchRequest request) {
  const SessionConfig config{.block_size = config_.block_size,
                             .num_blocks = config_.num_blocks,
                             .kv_dtype = config_.kv_dtype,
                             .policy = request.policy,
                             .seed = request.seed,
                             .record_blocks = request.record_blocks,
                             .record_logits = request.record_logits,
                             .history = request.history};
  auto sequence = std::make_shared<Sequence>();
  const bool by_head = request.policy.heads == Heads::kPerHead;
  if (by_head) make_arenas_by_head();
  sequence->session = std::make_shared<Session>(model_, config, by_head ? arenas_by_head_ : arenas_);
  const auto num_prompt_tokens = static_cast<int64_t>(request.prompt.size());
  if (request.max_tokens < 0 || request.max_tokens > model_config().max_positions - num_prompt_tokens) {
    throw Error("ERR_OCTAVO_POSITION", "Expected a prompt and maxTokens of at most maxPositions (" +
                                           std::to_string(model_config().max_positions) + ") but received " +
                                           std::to_string(num_prompt_tokens) + " and " +
                                           std::to_string(request.max_tokens));
  }
  sequence->session->prefill(request.prompt);
  check_sampling(request.sampling);
  require_prompt_fits(*sequence->session, request.max_tokens);
  sequence->num_prompt_tokens = static_cast<int32_t>(num_prompt_tokens);
  sequence->admitted_us = sequence->first_token_us = sequence->finished_us = kNotYet;
  sequence->request = std::move(request);
  const std::lock_guard lock(inbox_mutex_);
  sequence->request.arrival_us = std::max(sequence->request.arrival_us, now_us());
  sequence->id = static_cast<int64_t>(all_.size());
  all_.push_back(sequence);
  inbox_.push_back(sequence);
  return {.id = sequence->id, .session = sequence->session};
}

// In the empty pools, as it would wait for ever.
void Batch::require_prompt_fits(const Session& session, int64_t max_tokens) const {
  int64_t num_needed = 0;  // of the layer that keeps most
  for (int layer = 0; layer < model_config().num_layers; ++layer)
    num_needed = std::max(num_needed, session.num_blocks_needed(layer, max_tokens > 0 ? 1 : 0));
  if (num_needed <= config_.num_blocks) return;
  throw Error("ERR_OCTAVO_POOL_EXHAUSTED",
              "Expected a prompt that the pool of " + std::to_string(config_.num_blocks) +
                  " blocks can take but this one needs " + std::to_string(num_needed) +
                  " with its first token; give a larger numBlocks or a policy with a smaller budget");
}

void Batch::cancel(int64_t id) {
  const std::lock_guard lock(inbox_mutex_);
  sequence_at(id);
  to_cancel_.push_back(id);
}

BatchResult Batch::advance(const BatchAdvance& request, const std::atomic<bool>& cancelled) {
  const SequencePointer stopped = std::exchange(stopped_, nullptr);
  const bool has_gone = stopped && stopped->state == SequenceState::kCancelled;  // with what was to decide
  if (request.decision && !has_gone) {
    if (!stopped || stopped->state > SequenceState::kSwapped) {
      throw Error("ERR_OCTAVO_ARGUMENT",
                  "Expected a batch that stopped inside a sequence's step to decide on but it did not");
    }
    stopped_ = stopped;  // in case the decision is refused
    stopped->session->decide(*request.decision);
    stopped_ = nullptr;
  }
  if (!clock_start_) {
    const std::lock_guard lock(inbox_mutex_);
    clock_start_ = std::chrono::steady_clock::now();
  }
  BatchResult result;
  while (result.num_steps < request.max_steps) {
    take_inbox();
    if (cancelled.load(std::memory_order_relaxed)) {
      result.reason = BatchReason::kCancelled;
      return result;
    }
    if (!step_) {
      if (running_.empty() && swapped_.empty()) {
        if (waiting_.empty()) {
          result.reason = BatchReason::kDone;
          return result;
        }
        const auto next = std::min_element(
            waiting_.begin(), waiting_.end(),
            [](const auto& a, const auto& b) { return a->request.arrival_us < b->request.arrival_us; });
        result.wait_us = (*next)->request.arrival_us - now_us();
        if (result.wait_us > 0) {
          result.reason = BatchReason::kIdle;
          return result;
        }
      }
      step_.emplace();
      step_->start = std::chrono::steady_clock::now();
      step_->row.start_us = now_us();
    }
    if (std::optional<BatchResult> stopped = run_step(request, cancelled)) {
      stopped->num_steps = result.num_steps;
      return *stopped;
    }
    if (!step_) ++result.num_steps;
  }
  return result;
}

// With the inbox's lock held, or on the thread that advances.
double Batch::now_us() const {
  if (!clock_start_) return 0;
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - *clock_start_).count();
}

// Sequences that came or were cancelled since the last look.
void Batch::take_inbox() {
  std::vector<SequencePointer> added, cancelled;
  {
    const std::lock_guard lock(inbox_mutex_);
    added.swap(inbox_);
    for (const int64_t id : to_cancel_) cancelled.push_back(all_[static_cast<size_t>(id)]);
    to_cancel_.clear();
  }
  for (SequencePointer& sequence : added) {
    const auto later =
        std::upper_bound(waiting_.begin(), waiting_.end(), sequence, [](const auto& a, const auto& b) {
          return std::pair(a->request.priority, a->request.arrival_us) <
                 std::pair(b->request.priority, b->request.arrival_us);
        });
    waiting_.insert(later, std::move(sequence));
  }
  for (const SequencePointer& sequence : cancelled) {
    if (sequence->state <= SequenceState::kSwapped) end_sequence(sequence, SequenceState::kCancelled);
  }
}

// Whether every running sequence has the blocks of its next token.
bool Batch::fits() const {
  for (int layer = 0; layer < model_config().num_layers; ++layer) {
    int64_t num_needed = 0;
    for (const SequencePointer& sequence : running_)
      num_needed += sequence->session->num_blocks_for_next_token(layer);
    if (num_needed > pool_counts(layer).num_free) return false;
  }
  return true;
}

// Gives up the oldest step of a history, or moves the snapshots of a sequence out; false where all are.
bool Batch::relieve_pools() {
  const std::lock_guard lock(inbox_mutex_);
  for (const SequencePointer& sequence : all_) {
    if (sequence->session->shorten_history(arenas_of(*sequence->session))) return true;
  }
  for (const SequencePointer& sequence : all_) {
    const double bytes = sequence->session->move_checkpoints_out(arenas_of(*sequence->session));
    step_->row.swapped_bytes += bytes;
    if (bytes > 0) return true;
  }
  return false;
}

// Snapshots make way, then the newest sequences of the lowest priority. One that has the pools for itself and
// still lacks blocks fails as its step begins.
void Batch::make_room() {
  while (!fits()) {
    if (relieve_pools()) continue;
    if (running_.size() <= 1) return;
    const SequencePointer newest = running_.back();
    try {
      swap_out(newest);
    } catch (...) {
      fail_sequence(newest);
    }
    step_->made_room = true;
  }
}

void Batch::swap_out(const SequencePointer& sequence) {
  const Stopwatch stopwatch(step_->row.swap_us);
  const double bytes = move_to_room_of_its_own(*sequence->session);
  running_.erase(std::find(running_.begin(), running_.end(), sequence));
  ++sequence->num_preemptions;
  ++step_->row.num_preempted;
  step_->row.swapped_bytes += bytes;
  join_swapped(sequence);
}

// The bytes that it took.
double Batch::move_to_room_of_its_own(Session& session) const {
  std::vector<std::shared_ptr<KvArena>> room;
  double bytes = 0;
  for (size_t layer = 0; layer < arenas_.size(); ++layer) {
    const KvCache& cache = session.layer_cache(static_cast<int64_t>(layer));
    KvCacheShape shape = cache.shape();
    shape.num_blocks = std::max(1, cache.table().num_blocks());
    room.push_back(std::make_shared<KvArena>(shape));
    bytes += room.back()->size_bytes();
  }
  session.move_to(room);
  return bytes;
}

// Both before those that are to go on after it.
void Batch::join_running(const SequencePointer& sequence) {
  running_.insert(std::find_if(running_.begin(), running_.end(), goes_on_after(sequence)), sequence);
  sequence->state = SequenceState::kRunning;
}

void Batch::join_swapped(const SequencePointer& sequence) {
  swapped_.insert(std::find_if(swapped_.begin(), swapped_.end(), goes_on_after(sequence)), sequence);
  sequence->state = SequenceState::kSwapped;
}

// Whether all pools can take what a session outside them holds and num_tokens more, beside a next token of
// each running sequence. Snapshots make way.
bool Batch::has_room_for(const Session& session, int64_t num_tokens, int64_t spare_blocks) {
  for (int layer = 0; layer < model_config().num_layers; ++layer) {
    const auto num_needed = [&] {
      int64_t sum = session.num_blocks_needed(layer, num_tokens) + spare_blocks +
                    session.layer_cache(layer).table().num_blocks();
      for (const SequencePointer& sequence : running_)
        sum += sequence->session->num_blocks_for_next_token(layer);
      return sum;
    };
    while (num_needed() > pool_counts(layer).num_free) {
      if (!relieve_pools()) return false;
    }
  }
  return true;
}

// The first by priority and admission; none while others had to give way in this step, or before a prompt of
// a higher priority.
void Batch::swap_in() {
  while (!step_->made_room && !swapped_.empty() &&
         running_.size() < static_cast<size_t>(config_.max_sequences)) {
    const SequencePointer sequence = swapped_.front();
    const SequencePointer arrived = first_that_arrived();
    if (arrived && arrived->request.priority < sequence->request.priority) return;
    // Alone it goes on whatever it lacks: to wait would be for ever.
    const bool alone = running_.empty();
    if (!has_room_for(*sequence->session, alone ? 0 : 1, alone ? 0 : config_.watermark)) return;
    const Stopwatch stopwatch(step_->row.swap_us);
    step_->row.swapped_bytes += bytes_held(*sequence->session);
    sequence->session->move_to(arenas_of(*sequence->session));
    swapped_.pop_front();
    join_running(sequence);
    ++step_->row.num_resumed;
  }
}

Batch::SequencePointer Batch::first_that_arrived() const {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), [now = now_us()](const auto& sequence) {
    return sequence->request.arrival_us <= now;
  });
  return found == waiting_.end() ? nullptr : *found;
}

Batch::SequencePointer Batch::next_to_admit() {
  if (step_->made_room || running_.size() >= static_cast<size_t>(config_.max_sequences)) return nullptr;
  const SequencePointer sequence = first_that_arrived();
  if (!sequence) return nullptr;
  if (!swapped_.empty() && swapped_.front()->request.priority <= sequence->request.priority) return nullptr;
  const int64_t spare = running_.empty() ? 0 : config_.watermark;
  if (!has_room_for(*sequence->session, sequence->request.max_tokens > 0 ? 1 : 0, spare)) return nullptr;
  waiting_.erase(std::find(waiting_.begin(), waiting_.end(), sequence));
  sequence->state = SequenceState::kRunning;
  sequence->admitted_us = now_us();
  ++step_->row.num_admitted;
  return sequence;
}

void Batch::end_sequence(const SequencePointer& sequence, SequenceState state) {
  sequence->session->end();
  sequence->state = state;
  sequence->finished_us = now_us();
  take_out(sequence);
  if (step_) ++step_->row.num_ended;
}

// Of every queue, and of the step under way.
void Batch::take_out(const SequencePointer& sequence) {
  const auto drop = [&](auto& queue) {
    queue.erase(std::remove(queue.begin(), queue.end(), sequence), queue.end());
  };
  drop(waiting_);
  drop(running_);
  drop(swapped_);
  if (!step_) return;
  if (step_->prefilling == sequence) step_->prefilling.reset();
  const auto found = std::find(step_->decoding.begin(), step_->decoding.end(), sequence);
  if (found == step_->decoding.end()) return;
  if (static_cast<size_t>(found - step_->decoding.begin()) < step_->next) --step_->next;
  step_->decoding.erase(found);
}

// For the exception that is being handled.
void Batch::fail_sequence(const SequencePointer& sequence) {
  try {
    throw;
  } catch (const Error& error) {
    sequence->failure = {error.code(), error.what()};
  } catch (const std::bad_alloc&) {
    sequence->failure = {"ERR_OCTAVO_MEMORY", "Expected enough memory for sequence " +
                                                  std::to_string(sequence->id) + " but there is not"};
  } catch (const std::exception& error) {
    sequence->failure = {"ERR_OCTAVO_INTERNAL", error.what()};
  }
  end_sequence(sequence, SequenceState::kFailed);
}

}  // namespace octavo
