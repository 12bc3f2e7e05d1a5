// Hardware profiles, the simulator, and what is built on it.

export {
	type CalibrateOptions,
	type Calibration,
	calibrate,
	calibrateTogether,
	compareRuns,
	defaultPriorSpread,
	type RunResidual,
} from "./calibrate.js";
export {
	type ClosedFormRates,
	closedFormRates,
	optimalStride,
	type StridePeriod,
	stridePeriod,
} from "./closed-form.js";
export {
	type IterationEvents,
	type IterationRewindTo,
	type IterationRunOptions,
	type IterationRunResult,
	SimulatedIteration,
	simulateIteration,
} from "./iteration.js";
export { type MeasuredHost, type Measurement, type MeasureOptions, measure } from "./measure.js";
export { type BufferLife, bufferLives, type MemoryMoment, memoryOverTime, peakMemory } from "./memory.js";
export { predictRun, publishedSchedule } from "./predict.js";
export {
	type MemoryCapacity,
	type MemoryPart,
	type MemoryPrediction,
	type PlaceMemory,
	predictMemory,
} from "./predict-memory.js";
export {
	type ConstantName,
	type ConstantSource,
	type Constants,
	constantMeanings,
	constantNames,
	constantsOf,
	type Profile,
	type ProfileConstant,
	withConstants,
} from "./profile.js";
export { profileByName, profiles, runProfileNames } from "./profiles/index.js";
export { recordIteration } from "./record.js";
export { type CodeVariant, type MeasuredTimes, parseRuns, type Run, type RunSchedule } from "./runs.js";
export { type ScheduleCost, type SearchOptions, type SearchResult, scheduleCost, searchOctavo } from "./search.js";
export { type SimulatedTask, type Simulation, simulate } from "./simulate.js";
export { predictionColumns, simulateRuns } from "./simulate-runs.js";
export { type Columns, type SimulationTables, simulationTables } from "./tables.js";
export type { TaskStep } from "./task-step.js";
