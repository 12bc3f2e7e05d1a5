// What a batch records, gathered from the engine: rows of its steps as they come, and the state of its sequences when
// somebody asks.

import type { NativeBatch, NativeColumns } from "../../../native/addon.js";
import { native, OctavoError, type OctavoErrorCode } from "../../errors.js";
import { batchSchema } from "../../trace/batch-schema.js";
import { type BatchMetadata, BatchTrace } from "../../trace/batch-trace.js";
import type { Policy } from "../policies/policy.js";

/** States of a sequence, by the engine's codes. */
export const sequenceStates = ["waiting", "running", "swapped", "finished", "cancelled", "failed"] as const;

/** What a sequence does: it waits to be let in, runs, is swapped out for want of blocks, or has ended in one of three ways. */
export type SequenceState = (typeof sequenceStates)[number];

/** What the record needs of a sequence. */
export interface RecordedSequence {
	policy: Policy;
	state: SequenceState;
	/** What it failed with. */
	error: Error | undefined;
}

const stepColumns = Object.keys(batchSchema.throughput) as (keyof typeof batchSchema.throughput)[];

/** One step of a batch, by the columns of the table `throughput`. */
export type BatchStepRow = { readonly [C in keyof typeof batchSchema.throughput]: number };

/** The record of one batch. */
export class BatchRecord {
	readonly #native: NativeBatch;
	readonly #steps: BatchStepRow[] = [];
	readonly #failures = new Map<number, OctavoError>();
	// Undefined where it is out of date; the last one stays known.
	#requests: NativeColumns | undefined;
	#known: NativeColumns | undefined;

	constructor(batch: NativeBatch) {
		this.#native = batch;
	}

	/** Takes the rows of steps since the last call, and gives them; what was known of sequences is out of date. */
	drain(): BatchStepRow[] {
		const columns = native(() => this.#native.takeSteps()) as Record<string, Int32Array | Float64Array>;
		const { length } = columns.total_us!;
		const rows = Array.from(
			{ length },
			(_, row) => Object.fromEntries(stepColumns.map((name) => [name, columns[name]![row]!])) as BatchStepRow,
		);
		for (const row of rows) this.#steps.push(row);
		this.#requests = undefined;
		return rows;
	}

	/** Rows of all steps. */
	get steps(): readonly BatchStepRow[] {
		return this.#steps;
	}

	/** Forgets what was known of sequences, as one came. */
	invalidate(): void {
		this.#requests = undefined;
	}

	/** Looks at the sequences anew; only while the engine is idle. */
	refresh(): void {
		if (this.#requests) return;
		const requests = native(() => this.#native.requests());
		for (const [id, state] of (requests.state as Uint8Array).entries()) {
			if (sequenceStates[state] !== "failed" || this.#failures.has(id)) continue;
			const { code, message } = native(() => this.#native.failure(id))!;
			this.#failures.set(id, new OctavoError(code as OctavoErrorCode, message));
		}
		this.#requests = requests;
		this.#known = requests;
	}

	/** State of a sequence when last looked at. */
	stateOf(id: number): SequenceState {
		return sequenceStates[(this.#known?.state as Uint8Array | undefined)?.[id] ?? 0]!;
	}

	/** Why a sequence failed in the engine. */
	failureOf(id: number): OctavoError | undefined {
		return this.#failures.get(id);
	}

	/** Sequences by what they did when last looked at; those unknown then wait. */
	counts(numSequences: number) {
		const states = Array.from({ length: numSequences }, (_, id) => this.stateOf(id));
		const count = (...wanted: SequenceState[]) => states.filter((state) => wanted.includes(state)).length;
		return {
			numEnded: count("finished", "cancelled", "failed"),
			numRunning: count("running"),
			numWaiting: count("waiting"),
			numSwapped: count("swapped"),
		};
	}

	/** All of it, as tables. */
	trace(sequences: readonly RecordedSequence[], metadata: BatchMetadata): BatchTrace {
		const throughput = Object.fromEntries(
			stepColumns.map((name) => [name, this.#steps.map((row) => row[name])] as const),
		);
		return BatchTrace.from({ requests: this.#requestColumns(sequences), throughput }, metadata);
	}

	#requestColumns(sequences: readonly RecordedSequence[]): Record<string, unknown[]> {
		const given = this.#known as Record<string, Int32Array | Float64Array> | undefined;
		const known = sequences.slice(0, given ? given.state!.length : 0);
		const column = (name: string) =>
			known.map((_, i) => {
				const value = given![name]![i]!;
				return Number.isNaN(value) ? null : value;
			});
		const [arrival, first, finished] = [column("arrival_us"), column("first_token_us"), column("finished_us")];
		const decoded = column("num_decoded_tokens") as number[];
		return {
			sequence_id: column("sequence_id"),
			parent_id: column("parent_id"),
			state: known.map(({ state }) => state),
			policy: known.map(({ policy }) => policy.name),
			budget: known.map(({ policy: { budget } }) => (typeof budget === "number" ? budget : null)),
			layer_budgets: known.map(({ policy: { budget } }) => (typeof budget === "object" ? budget.join(" ") : null)),
			priority: column("priority"),
			arrival_us: arrival,
			admitted_us: column("admitted_us"),
			first_token_us: first,
			finished_us: finished,
			ttft_us: first.map((us, i) => (us === null ? null : us - arrival[i]!)),
			tpot_us: finished.map((us, i) =>
				us === null || first[i] === null || decoded[i]! < 2 ? null : (us - first[i]!) / (decoded[i]! - 1),
			),
			num_prompt_tokens: column("num_prompt_tokens"),
			num_output_tokens: column("num_output_tokens"),
			num_decoded_tokens: decoded,
			num_preemptions: column("num_preemptions"),
			num_blocks_peak: column("num_blocks_peak"),
			error: known.map(({ error }) => error && ((error as { code?: string }).code ?? error.name)).map((e) => e ?? null),
		};
	}
}
