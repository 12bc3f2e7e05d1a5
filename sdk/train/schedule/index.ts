// Offload schedules: their format, their planners, and the checker that every schedule passes before it runs.

export {
	loadSchedule,
	type ScheduleTables,
	saveSchedule,
	scheduleFromArrow,
	scheduleToArrow,
} from "../schedule-tables.js";
export { ScheduleBuilder, type TaskDraft } from "./builder.js";
export {
	checkSchedule,
	findProblems,
	type MemoryLimits,
	type Problem,
	type ProblemKind,
} from "./checker.js";
export {
	checkConfiguration,
	countParameters,
	formSubgroups,
	type ModelShape,
	numOffloaded,
	parameterNumels,
	partitionElements,
	ranksPerNode,
	type TrainingConfiguration,
} from "./configuration.js";
export { type DeepOptimizerStatesOptions, deepOptimizerStates } from "./deep-optimizer-states.js";
export { type OctavoChoice, octavo } from "./octavo.js";
export { onDevice } from "./on-device.js";
export {
	type PublishedChanges,
	type PublishedSize,
	publishedConfiguration,
	publishedSizes,
} from "./published-models.js";
export {
	type Access,
	type BufferPlan,
	content,
	type Phase,
	type Quantity,
	type Resource,
	type Schedule,
	type Task,
	type TaskKind,
	type Version,
} from "./task.js";
export { twinflow } from "./twinflow.js";
export { zeroOffload } from "./zero-offload.js";
export { zeroOffloadAsync } from "./zero-offload-async.js";
