// How runs of one model differ, step by step: the distributions after each step and the tokens they lead to. Made from
// traces alone, so that saved runs compare as well as living sessions.

import { Bool, type Float64, type Int32, type Table, tableFromArrays, Utf8, vectorFromArray } from "apache-arrow";
import { OctavoError, received } from "../errors.js";
import { checkOptions, integer } from "../options.js";
import { tableToText } from "./table-view.js";
import { Trace } from "./trace.js";

/** Columns of a comparison. */
export type ComparisonTypes = {
	/** Name of the run that is compared with the reference. */
	run: Utf8;
	/** RoPE position of the last token fed. */
	position_index: Int32;
	/** Token that the run fed there. */
	token_id: Int32;
	/** Token that the reference fed there. */
	reference_token_id: Int32;
	/** The runs had fed different tokens here or before: their contexts differ, and not their caches alone. */
	diverged: Bool;
	/** KL divergence of the run's next-token distribution from the reference's, in nats; 0 where they are equal. */
	kl_divergence: Float64;
	/** Log-probability of the reference's likeliest next token: the reference's less the run's, in nats. */
	logprob_gap: Float64;
	/** Share of the reference's k likeliest next tokens that are among the run's k likeliest, from 0 to 1. */
	top_k_overlap: Float64;
};

/** Options of `compare`. */
export interface CompareOptions {
	/** Tokens that `top_k_overlap` looks at; from 1. Default 10. */
	k?: number;
	/** One name a run. Default: its policy, numbered where two have the same. */
	names?: readonly string[];
}

/** Where a run first fed another token than the reference. */
export interface Divergence {
	/** Name of the run. */
	run: string;
	/** Undefined when it never did. */
	position: number | undefined;
	/** Token that it fed. */
	token: number | undefined;
	/** Token that the reference fed. */
	referenceToken: number | undefined;
}

/**
 * A comparison of runs with the first of them.
 *
 * @example
 * ```ts
 * import { compare, loadModel, policies, tasks } from "octavo";
 * const model = await loadModel();
 * using session = model.session({ blockSize: 8, recordLogits: true, forks: 1 });
 * await session.prefill(tasks.recall({ seed: 1 }).context);
 * using fork = session.fork({ policy: policies.keyDiff({ budget: 64 }) });
 * for (const each of [session, fork]) await each.run({ maxTokens: 8, endTokens: [] });
 * const { reference, runs, table } = compare([session, fork]);
 * console.log(reference, runs[0], table.numRows);   // full key-diff 9
 * ```
 */
export class Comparison {
	/** Name of the reference. */
	readonly reference: string;
	/** Names of the others. */
	readonly runs: readonly string[];
	/** How many likeliest tokens are compared. */
	readonly k: number;
	/** A row a run and position, in the order of the runs. */
	readonly table: Table<ComparisonTypes>;
	/** One entry a run. */
	readonly divergences: readonly Divergence[];

	/** Made by `compare`. */
	constructor(parts: Pick<Comparison, "reference" | "runs" | "k" | "table" | "divergences">) {
		this.reference = parts.reference;
		this.runs = parts.runs;
		this.k = parts.k;
		this.table = parts.table;
		this.divergences = parts.divergences;
	}

	/** Shows the first diverging tokens, then the table. */
	[Symbol.for("Jupyter.display")](): Record<string, string> {
		const lines = this.divergences.map(({ run, position, token, referenceToken }) =>
			position === undefined
				? `${run} feeds the tokens of ${this.reference}`
				: `${run} diverges from ${this.reference} at position ${position}: token ${token}, not ${referenceToken}`,
		);
		return { "text/plain": [...lines, tableToText(this.table as unknown as Table)].join("\n") };
	}
}

interface Run {
	name: string;
	/** Token fed at each position of a step. */
	tokens: Map<number, number>;
	/** Logits after each position. */
	logits: Map<number, Float32Array>;
}

/**
 * Compares runs with the first of them, after each step that both recorded.
 *
 * @param runs sessions or traces, at least two, recorded with the session's option `recordLogits`
 * @throws {OctavoError} ERR_OCTAVO_COMPARE for fewer than two, one without logits, vocabularies that differ;
 * ERR_OCTAVO_OPTION
 * @example
 * ```ts
 * import { compare, loadModel, policies, tasks } from "octavo";
 * const model = await loadModel();
 * const session = model.session({ recordLogits: true, forks: 1, blockSize: 8 });
 * session.prefillSync(tasks.recall({ seed: 1 }).context);
 * const fork = session.fork({ policy: policies.streamingLlm({ budget: 32 }) });
 * session.runSync({ maxTokens: 8 });
 * fork.runSync({ maxTokens: 8 });
 * const { table, runs } = compare([session, fork]);
 * console.log(runs, table.numRows, table.get(0)!.kl_divergence);   // [ 'streaming-llm' ] 9 0
 * ```
 */
export function compare(
	runs: readonly (Trace | { readonly trace: Trace })[],
	options: CompareOptions = {},
): Comparison {
	const { k, names } = checkOptions("compare()", options, {
		k: integer(1, 2 ** 31 - 1, 10),
		names: (value: unknown) => value as readonly string[] | undefined,
	});
	if (!Array.isArray(runs) || runs.length < 2) fail("at least two sessions or traces", received(runs));
	const traces = runs.map((run: Trace | { trace: Trace }) => (run instanceof Trace ? run : run?.trace));
	if (names !== undefined && (!Array.isArray(names) || names.length !== traces.length)) {
		fail(`${traces.length} names`, received(names));
	}
	const [reference, ...others] = traces.map((trace, i) => readRun(trace, names?.[i] ?? nameOf(traces, i)));
	const rows = others.flatMap((run) => compareRuns(reference!, run, k));
	const column = <K extends keyof (typeof rows)[number]>(name: K) => rows.map((row) => row[name]);
	const flat = tableFromArrays({
		position_index: Int32Array.from(column("position")),
		token_id: Int32Array.from(column("token")),
		reference_token_id: Int32Array.from(column("referenceToken")),
		kl_divergence: Float64Array.from(column("kl")),
		logprob_gap: Float64Array.from(column("gap")),
		top_k_overlap: Float64Array.from(column("overlap")),
	});
	const run = vectorFromArray(column("run"), new Utf8());
	const diverged = vectorFromArray(column("diverged"), new Bool());
	const order = "run position_index token_id reference_token_id diverged kl_divergence logprob_gap top_k_overlap";
	return new Comparison({
		reference: reference!.name,
		runs: others.map(({ name }) => name),
		k,
		table: flat.assign(tableOf({ run, diverged })).select(order.split(" ") as never) as never,
		divergences: others.map(({ name }) => {
			const first = rows.find((row) => row.run === name && row.diverged);
			return { run: name, position: first?.position, token: first?.token, referenceToken: first?.referenceToken };
		}),
	});
}

function tableOf(vectors: Record<string, unknown>): Table {
	return tableFromArrays(vectors as never) as unknown as Table;
}

function fail(expected: string, came: string): never {
	throw new OctavoError("ERR_OCTAVO_COMPARE", `Expected ${expected} for compare() but received ${came}`);
}

function nameOf(traces: readonly Trace[], index: number): string {
	const policies = traces.map((trace) => trace?.metadata?.policy ?? "run");
	const same = policies.filter((policy) => policy === policies[index]).length;
	if (same === 1) return policies[index]!;
	return `${policies[index]} ${policies.slice(0, index + 1).filter((policy) => policy === policies[index]).length}`;
}

function readRun(trace: Trace, name: string): Run {
	if (!(trace instanceof Trace)) fail("sessions or traces", received(trace));
	const steps = trace.table("steps");
	const numbers = (column: "step_index" | "position_index" | "token_id") =>
		steps.getChild(column)!.toArray() as Int32Array;
	const [indices, positions, ids] = [numbers("step_index"), numbers("position_index"), numbers("token_id")];
	const positionOf = new Map(Array.from(indices, (step, row) => [step, positions[row]!]));
	const tokens = new Map(Array.from(positions, (position, row) => [position, ids[row]!]));
	const table = trace.table("logits");
	const rows = table.getChild("step_index")!.toArray() as Int32Array;
	if (rows.length === 0) fail("runs recorded with recordLogits", `${name}, which has no logits`);
	const lists = table.getChild("logits")!;
	const logits = new Map(
		Array.from(rows, (step, row) => [positionOf.get(step)!, lists.get(row)!.toArray() as Float32Array]),
	);
	return { name, tokens, logits };
}

function compareRuns(reference: Run, run: Run, k: number) {
	let diverged = false;
	return [...reference.logits].flatMap(([position, expected]) => {
		const logits = run.logits.get(position);
		const token = run.tokens.get(position);
		const referenceToken = reference.tokens.get(position);
		if (!logits || token === undefined || referenceToken === undefined) return [];
		if (logits.length !== expected.length) {
			fail(`${expected.length} logits in every run`, `${run.name} with ${logits.length}`);
		}
		diverged ||= token !== referenceToken;
		return [{ run: run.name, position, token, referenceToken, diverged, ...distances(expected, logits, k) }];
	});
}

function logProbabilities(logits: Float32Array): Float64Array {
	let max = Number.NEGATIVE_INFINITY;
	for (const logit of logits) max = Math.max(max, logit);
	let sum = 0;
	for (const logit of logits) sum += Math.exp(logit - max);
	const logSum = max + Math.log(sum);
	return Float64Array.from(logits, (logit) => logit - logSum);
}

function likeliest(logits: Float32Array, k: number): number[] {
	return Array.from(logits.keys())
		.sort((a, b) => logits[b]! - logits[a]! || a - b)
		.slice(0, k);
}

function distances(expected: Float32Array, actual: Float32Array, k: number) {
	const [p, q] = [logProbabilities(expected), logProbabilities(actual)];
	let kl = 0;
	for (let token = 0; token < p.length; token++) kl += Math.exp(p[token]!) * (p[token]! - q[token]!);
	const top = likeliest(expected, k);
	const others = new Set(likeliest(actual, k));
	return {
		kl: Math.max(0, kl),
		gap: p[top[0]!]! - q[top[0]!]!,
		overlap: top.filter((token) => others.has(token)).length / top.length,
	};
}
