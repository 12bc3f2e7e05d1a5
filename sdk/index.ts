// Everything that a notebook cell imports from "octavo".

export type { EngineInfo, LlamaSpec } from "../native/addon.js";
export * as chart from "./chart/index.js";
export type { Breakpoint } from "./debug/breakpoints.js";
export type { LiveView } from "./debug/live-view.js";
export type { Steppable } from "./debug/steppable.js";
export type { Batch, BatchRunResult } from "./decode/batch/batch.js";
export type { BatchStop } from "./decode/batch/engine.js";
export type { AddOptions, BatchOptions, BatchRunOptions, SequenceForkOptions } from "./decode/batch/options.js";
export type { BatchProgress } from "./decode/batch/progress.js";
export type { BatchStepRow, SequenceState } from "./decode/batch/record.js";
export type { BatchSequence, SequenceEvents, SequenceResult, WaitOptions } from "./decode/batch/sequence.js";
export type { EvictionStop } from "./decode/eviction-stop.js";
export type { BlockView, LayerView, PatternOptions } from "./decode/layer-view.js";
export type { Prompt, RunOptions, SessionOptions, SessionViewOptions, StepOptions } from "./decode/options.js";
export * as policies from "./decode/policies/index.js";
export type { Policy } from "./decode/policies/policy.js";
export type { RunResult, SessionEvents, StopEvent, TokenEvent } from "./decode/run.js";
export type { SamplingOptions, TokenCandidate } from "./decode/sampling.js";
export type { Session } from "./decode/session.js";
export type { Eviction, Step } from "./decode/step.js";
export type { ForkOptions, RewindTo, Snapshot } from "./decode/time-travel.js";
export { engineInfo, setNumThreads } from "./engine.js";
export { OctavoError, type OctavoErrorCode } from "./errors.js";
export * as figures from "./figures/index.js";
export * as hardware from "./hardware/index.js";
export { loadModel, Model, randomModel } from "./load-model.js";
export type { ChatMessage, ChatOptions } from "./model/chat-template.js";
export type { ModelConfig } from "./model/config.js";
export { type DownloadOptions, type DownloadProgress, downloadModel } from "./model/download.js";
export * as tasks from "./model/tasks/index.js";
export type { DecodeOptions, EncodeOptions, Tokenizer } from "./model/tokenizer.js";
export type { SaveOptions } from "./model/write-checkpoint.js";
export { Tensor, type TensorData, type TensorDType, type TensorStats } from "./tensor.js";
export type { TraceMetadata, TraceTypes } from "./trace/arrow-schema.js";
export { type BatchTableName, batchSchema } from "./trace/batch-schema.js";
export { type BatchColumns, type BatchMetadata, type BatchTable, BatchTrace } from "./trace/batch-trace.js";
export type { BlockTable } from "./trace/block-table.js";
export {
	type CompareOptions,
	Comparison,
	type ComparisonTypes,
	compare,
	type Divergence,
} from "./trace/compare.js";
export { iterationSchema, scheduleSchema } from "./trace/iteration-schema.js";
export { type IterationColumns, type IterationMetadata, IterationTrace } from "./trace/iteration-trace.js";
export { type TraceTableName, traceSchema } from "./trace/schema.js";
export { type TableViewOptions, tableToHtml, tableToText } from "./trace/table-view.js";
export { Trace, type TraceTables } from "./trace/trace.js";
export * as schedules from "./train/schedule/index.js";
