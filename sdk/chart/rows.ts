// Rows of a trace as plain objects, for charts. Columns are read as typed arrays first, since reading Arrow cell by cell
// is slow; lists are read only for the rows that are kept.

import type { Trace } from "../trace/trace.js";
import { describeNumbers, distinct, fail } from "./options.js";

/** One row of the table `blocks`. */
export interface BlockRow {
	step: number;
	layer: number;
	logicalIndex: number;
	blockId: number;
	filled: number;
	score: number;
	positions: Int32Array;
}

/** One row of the table `evictions`. */
export interface EvictionRow {
	step: number;
	layer: number;
	granularity: "token" | "block";
	logicalIndex: number;
	blockId: number;
	score: number;
	runnerUpScore: number;
	positions: Int32Array;
	candidates: Int32Array;
	candidateScores: Float32Array;
}

/** Which rows to read; a missing entry keeps all. */
export interface RowFilter {
	layers?: readonly number[];
	step?: number;
}

function matching(steps: Int32Array, layers: Int32Array, filter: RowFilter): number[] {
	const wanted = filter.layers && new Set(filter.layers);
	const rows: number[] = [];
	for (let i = 0; i < steps.length; i++) {
		if (filter.step !== undefined && steps[i] !== filter.step) continue;
		if (!wanted || wanted.has(layers[i]!)) rows.push(i);
	}
	return rows;
}

/** Layers and steps of a table, ascending. */
export function extent(trace: Trace, name: "blocks" | "evictions" | "memory"): { layers: number[]; steps: number[] } {
	const table = trace.table(name);
	return {
		layers: distinct(table.getChild("layer_index")!.toArray() as Int32Array),
		steps: distinct(table.getChild("step_index")!.toArray() as Int32Array),
	};
}

/** Layers and steps of the table `blocks`, which a session may have been told not to record. */
export function blocksExtent(trace: Trace): { layers: number[]; steps: number[] } {
	const found = extent(trace, "blocks");
	if (found.steps.length > 0) return found;
	const { steps } = extent(trace, "memory");
	return fail(
		"a trace with rows in its table blocks (sessions record them by default: recordBlocks)",
		`none, with steps ${describeNumbers(steps)} in memory`,
	);
}

/** Rows of `blocks`, in the order of the trace. */
export function blockRows(trace: Trace, filter: RowFilter = {}): BlockRow[] {
	const table = trace.table("blocks");
	const numbers = (name: Exclude<(typeof table.schema.names)[number], "positions">) =>
		table.getChild(name)!.toArray() as Int32Array;
	const [steps, layers] = [numbers("step_index"), numbers("layer_index")];
	const [logical, ids, filled] = [numbers("logical_index"), numbers("block_id"), numbers("filled")];
	const scores = table.getChild("score")!.toArray() as Float32Array;
	const positions = table.getChild("positions")!;
	return matching(steps, layers, filter).map((i) => ({
		step: steps[i]!,
		layer: layers[i]!,
		logicalIndex: logical[i]!,
		blockId: ids[i]!,
		filled: filled[i]!,
		score: scores[i]!,
		positions: positions.get(i)!.toArray() as Int32Array,
	}));
}

/** Rows of `evictions`, in the order of the trace. */
export function evictionRows(trace: Trace, filter: RowFilter = {}): EvictionRow[] {
	const table = trace.table("evictions");
	const steps = table.getChild("step_index")!.toArray() as Int32Array;
	const layers = table.getChild("layer_index")!.toArray() as Int32Array;
	const list = <T>(name: "positions" | "candidates" | "candidate_scores", i: number) =>
		table.getChild(name)!.get(i)!.toArray() as T;
	return matching(steps, layers, filter).map((i) => ({
		step: steps[i]!,
		layer: layers[i]!,
		granularity: table.getChild("granularity")!.get(i) as "token" | "block",
		logicalIndex: table.getChild("logical_index")!.get(i)!,
		blockId: table.getChild("block_id")!.get(i)!,
		score: table.getChild("score")!.get(i)!,
		runnerUpScore: table.getChild("runner_up_score")!.get(i)!,
		positions: list<Int32Array>("positions", i),
		candidates: list<Int32Array>("candidates", i),
		candidateScores: list<Float32Array>("candidate_scores", i),
	}));
}
