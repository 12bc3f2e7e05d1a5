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
	/** Of the live slots. */
	positions: Int32Array;
	/** Of the filled slots, -1 in a hole. */
	slots: Int32Array;
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
	/** KV head, from 0, where each keeps tokens of its own. Default 0. */
	head?: number;
}

function matching(steps: Int32Array, layers: Int32Array, heads: Int32Array, filter: RowFilter): number[] {
	const head = filter.head ?? 0;
	const wanted = filter.layers && new Set(filter.layers);
	const rows: number[] = [];
	for (let i = 0; i < steps.length; i++) {
		if (filter.step !== undefined && steps[i] !== filter.step) continue;
		if (heads[i]! >= 0 && heads[i] !== head) continue;
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

/** What a caption says of the KV head that is drawn; nothing where all heads hold the same tokens. */
export function describeHead(trace: Trace, head: number | undefined): string {
	const heads = trace.table("memory").numRows === 0 ? [] : headsOf(trace);
	if (heads.length === 0) {
		if (head === undefined) return "";
		return fail("no head, as the heads of this trace hold the same tokens,", String(head));
	}
	if (head !== undefined && !heads.includes(head)) fail(`one of ${describeNumbers(heads)} for head`, String(head));
	return ` Each KV head keeps its own tokens: those of head ${head ?? 0} of ${heads.length} are drawn.`;
}

function headsOf(trace: Trace): number[] {
	const of = (name: "blocks" | "evictions") =>
		Array.from(trace.table(name).getChild("kv_head")!.toArray() as Int32Array);
	return distinct([...of("blocks"), ...of("evictions")]).filter((head) => head >= 0);
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
	return matching(steps, layers, numbers("kv_head"), filter).map((i) => {
		const slots = positions.get(i)!.toArray() as Int32Array;
		return {
			step: steps[i]!,
			layer: layers[i]!,
			logicalIndex: logical[i]!,
			blockId: ids[i]!,
			filled: filled[i]!,
			score: scores[i]!,
			positions: slots.includes(-1) ? slots.filter((position) => position >= 0) : slots,
			slots,
		};
	});
}

/** Rows of `evictions`, in the order of the trace. */
export function evictionRows(trace: Trace, filter: RowFilter = {}): EvictionRow[] {
	const table = trace.table("evictions");
	const steps = table.getChild("step_index")!.toArray() as Int32Array;
	const layers = table.getChild("layer_index")!.toArray() as Int32Array;
	const list = <T>(name: "positions" | "candidates" | "candidate_scores", i: number) =>
		table.getChild(name)!.get(i)!.toArray() as T;
	const heads = table.getChild("kv_head")!.toArray() as Int32Array;
	return matching(steps, layers, heads, filter).map((i) => ({
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
