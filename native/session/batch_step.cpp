// What a step of a batch computes: the prompts of those let in, one after another and whole; then a token of
// every running sequence together. Sessions run up to where they wait for a product, which is then taken for
// all; a stop inside one leaves the others where they are, and the next advance goes on from there.
#include <algorithm>

#include "core/check.h"
#include "core/thread_pool.h"
#include "session/batch.h"
#include "session/stopwatch.h"

namespace octavo {

namespace {

StopConditions stop_of(const BatchAdvance& request, int64_t id) {
  const auto found = request.stops.find(id);
  return found == request.stops.end() ? StopConditions{} : found->second;
}

double us_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

// Until the step is done, a sequence stops, or `cancelled` is seen; a step that is not done stays in step_.
std::optional<BatchResult> Batch::run_step(const BatchAdvance& request, const std::atomic<bool>& cancelled) {
  BatchStep& step = *step_;
  const auto stopped_by = [&](const SequencePointer& sequence, Event event) {
    stopped_ = sequence;
    BatchResult result;
    result.reason = BatchReason::kEvent;
    result.sequence_id = sequence->id;
    result.event = std::move(event);
    return result;
  };
  while (!cancelled.load(std::memory_order_relaxed)) {
    switch (step.stage) {
      case BatchStage::kMakeRoom:
        make_room();
        swap_in();
        step.stage = BatchStage::kAdmit;
        break;
      case BatchStage::kAdmit:
        step.prefilling = next_to_admit();
        step.stage = step.prefilling ? BatchStage::kPrefill : BatchStage::kBeginDecode;
        break;
      case BatchStage::kPrefill: {
        const SequencePointer sequence = step.prefilling;
        if (std::optional<Event> event = prefill(request, cancelled))
          return stopped_by(sequence, std::move(*event));
        break;
      }
      case BatchStage::kBeginDecode:
        make_room();  // forks may have been let in at a stop
        begin_decode();
        step.stage = BatchStage::kRun;
        break;
      case BatchStage::kRun:
        if (std::optional<Event> event = run_sequences(request))
          return stopped_by(step.decoding[step.next], std::move(*event));
        if (step.stage == BatchStage::kRun) step.stage = BatchStage::kShare;
        break;
      case BatchStage::kShare:
        if (step.decoding.empty()) {
          step.stage = BatchStage::kEnd;
        } else {
          share_work();
        }
        break;
      case BatchStage::kEnd:
        end_step();
        return std::nullopt;
    }
  }
  return std::nullopt;
}

// Goes on with the prompt of the sequence just let in; it stays in its stage until that is done.
std::optional<Event> Batch::prefill(const BatchAdvance& request, const std::atomic<bool>& cancelled) {
  BatchStep& step = *step_;
  const SequencePointer sequence = step.prefilling;
  if (!sequence) {  // cancelled on the way
    step.stage = BatchStage::kAdmit;
    return std::nullopt;
  }
  const Stopwatch stopwatch(step.row.prefill_us);
  AdvanceRequest advance;
  advance.stop = stop_of(request, sequence->id);
  try {
    AdvanceResult result = sequence->session->advance(advance, cancelled);
    if (result.reason == StopReason::kEvent) return std::move(result.event);
    if (result.reason == StopReason::kCancelled) return std::nullopt;
    note_blocks(*sequence);
    step.row.num_prompt_tokens += sequence->num_prompt_tokens;
    step.prefilling.reset();
    join_running(sequence);
    if (sequence->request.max_tokens == 0) end_sequence(sequence, SequenceState::kFinished);
  } catch (...) {
    fail_sequence(sequence);
  }
  step.stage = BatchStage::kAdmit;
  return std::nullopt;
}

void Batch::begin_decode() {
  BatchStep& step = *step_;
  step.decode_start = std::chrono::steady_clock::now();
  const Stopwatch stopwatch(step.row.sample_us);
  const std::vector<SequencePointer> running = running_;
  for (const SequencePointer& sequence : running) {
    AdvanceRequest advance;
    advance.sampling = sequence->request.sampling;
    try {
      sequence->session->begin_together(advance);
      step.decoding.push_back(sequence);
    } catch (...) {
      fail_sequence(sequence);
    }
  }
  step.next = 0;
}

// For the exception that is being handled: whether the decode step is taken back in all sequences, to make
// room for it once more. Blocks run out on the way only where snapshots or forks were made at a stop.
bool Batch::begins_anew() {
  BatchStep& step = *step_;
  try {
    throw;
  } catch (const Error& error) {
    if (error.code() != "ERR_OCTAVO_POOL_EXHAUSTED" || step.began_anew) return false;
  } catch (...) {
    return false;
  }
  step.began_anew = true;
  for (const SequencePointer& sequence : step.decoding) sequence->session->take_back_step();
  step.decoding.clear();
  step.stage = BatchStage::kMakeRoom;
  return true;
}

// Brings each to where it waits for the others.
std::optional<Event> Batch::run_sequences(const BatchAdvance& request) {
  BatchStep& step = *step_;
  const Stopwatch stopwatch(step.row.cache_us);
  while (step.next < step.decoding.size()) {
    const SequencePointer sequence = step.decoding[step.next];
    try {
      std::optional<Event> event = sequence->session->run_together(stop_of(request, sequence->id));
      if (event) return event;
      ++step.next;
    } catch (...) {
      if (begins_anew()) return std::nullopt;
      fail_sequence(sequence);  // takes it out, so that `next` is the one after it
    }
  }
  return std::nullopt;
}

void Batch::gather(std::vector<float> Activations::*from, std::vector<float>& to) const {
  to.clear();
  for (const SequencePointer& sequence : step_->decoding) {
    const std::vector<float>& row = sequence->session->activations().*from;
    to.insert(to.end(), row.begin(), row.end());
  }
}

void Batch::scatter(const std::vector<float>& from, std::vector<float> Activations::*to) const {
  auto next = from.begin();
  for (const SequencePointer& sequence : step_->decoding) {
    std::vector<float>& row = sequence->session->activations().*to;
    const auto end = next + static_cast<int64_t>(row.size());
    std::copy(next, end, row.begin());
    next = end;
  }
}

// All wait for the same: they are in the same place of the same layer.
void Batch::share_work() {
  BatchStep& step = *step_;
  step.stage = BatchStage::kRun;
  step.next = 0;
  Session& first = *step.decoding.front()->session;
  const auto num_rows = static_cast<int64_t>(step.decoding.size());
  switch (first.waits_for()) {
    case SharedWork::kProjections: {
      const Stopwatch stopwatch(step.row.products_us);
      gather(&Activations::hidden, hidden_);
      positions_.clear();
      for (const SequencePointer& sequence : step.decoding)
        positions_.push_back(sequence->session->activations().positions.front());
      query_.resize(first.activations().query.size() * step.decoding.size());
      key_.resize(first.activations().key.size() * step.decoding.size());
      value_.resize(key_.size());
      model_->project_qkv(first.layer_under_way(), hidden_.data(), positions_.data(), num_rows, workspace_,
                          query_.data(), key_.data(), value_.data(), Rows::kManySequences);
      scatter(query_, &Activations::query);
      scatter(key_, &Activations::key);
      scatter(value_, &Activations::value);
      break;
    }
    case SharedWork::kAttention:
      return attend();
    case SharedWork::kRestOfLayer: {
      const Stopwatch stopwatch(step.row.products_us);
      gather(&Activations::hidden, hidden_);
      gather(&Activations::attention, attention_);
      model_->finish_layer(first.layer_under_way(), attention_.data(), num_rows, workspace_, hidden_.data(),
                           Rows::kManySequences);
      scatter(hidden_, &Activations::hidden);
      break;
    }
    case SharedWork::kLogits:
      return complete();
  }
  for (const SequencePointer& sequence : step.decoding) sequence->session->go_on();
}

// Many sequences take a thread each, few take all threads one after another; the sums are the same.
void Batch::attend() {
  const Stopwatch stopwatch(step_->row.attention_us);
  const std::vector<SequencePointer>& decoding = step_->decoding;
  const auto attend_some = [&](int64_t begin, int64_t end, int) {
    for (int64_t index = begin; index < end; ++index)
      decoding[static_cast<size_t>(index)]->session->attend_together();
  };
  const auto count = static_cast<int64_t>(decoding.size());
  if (count < 2 * ThreadPool::shared().num_threads()) return attend_some(0, count, 0);
  ThreadPool::shared().parallel_for(count, attend_some);
}

void Batch::complete() {
  BatchStep& step = *step_;
  step.stage = BatchStage::kEnd;
  const auto vocab_size = static_cast<size_t>(model_config().vocab_size);
  {
    const Stopwatch stopwatch(step.row.products_us);
    gather(&Activations::hidden, hidden_);
    logits_.resize(vocab_size * step.decoding.size());
    model_->logits_of_many(hidden_.data(), static_cast<int64_t>(step.decoding.size()), workspace_,
                           logits_.data());
  }
  const Stopwatch stopwatch(step.row.sample_us);
  const std::vector<SequencePointer> decoding = step.decoding;
  const double total_us = us_since(step.decode_start);
  for (size_t index = 0; index < decoding.size(); ++index) {
    Sequence& sequence = *decoding[index];
    Session& session = *sequence.session;
    std::copy_n(logits_.data() + index * vocab_size, vocab_size, session.next_logits());
    try {
      session.complete_together(total_us);
    } catch (...) {
      fail_sequence(decoding[index]);
      continue;
    }
    note_blocks(sequence);
    ++sequence.num_output_tokens;
    if (sequence.num_decoded_tokens++ == 0) sequence.first_token_us = now_us();
    ++step.row.num_output_tokens;
    const std::vector<int32_t>& end_tokens = sequence.request.end_tokens;
    const bool ended = std::count(end_tokens.begin(), end_tokens.end(), session.tokens().back()) > 0;
    if (ended || sequence.num_output_tokens == sequence.request.max_tokens)
      end_sequence(decoding[index], SequenceState::kFinished);
  }
}

void Batch::end_step() {
  BatchStepRow& row = step_->row;
  row.num_waiting = static_cast<int32_t>(waiting_.size());
  row.num_running = static_cast<int32_t>(running_.size());
  row.num_swapped = static_cast<int32_t>(swapped_.size());
  row.num_free_blocks = config_.num_blocks;
  for (int layer = 0; layer < model_config().num_layers; ++layer)
    row.num_free_blocks = std::min(row.num_free_blocks, pool_counts(layer).num_free);
  row.total_us = us_since(step_->start);
  rows_.record(row, next_step_index_++);
  step_.reset();
}

}  // namespace octavo
