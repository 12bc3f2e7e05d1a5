// Gathers the engine's rows into Arrow tables. Long runs hand over long columns, kept without a copy; single steps hand
// over a few rows each, which are joined when a table is asked for, so that a table has few batches in either case.

import { type RecordBatch, Table } from "apache-arrow";
import type { NativeColumns, NativeTrace } from "../../native/addon.js";
import { arrowSchema, type TraceMetadata } from "./arrow-schema.js";
import { concatColumns, countRows, firstRows, toRecordBatch } from "./batches.js";
import { type TraceTableName, traceTableNames } from "./schema.js";
import type { TraceSource } from "./trace.js";

// Pieces with this many rows are kept as they are: joining them would cost more than a batch more does.
const joinBelowRows = 16_384;
// Waiting pieces are joined now and then even if nobody looks, as each holds native memory of its own.
const maxWaiting = 512;

interface Piece {
	columns: NativeColumns;
	numRows: number;
	batch?: RecordBatch;
}

// Rows are in order of steps.
function cutPiece(name: TraceTableName, piece: Piece, stepIndex: number): Piece {
	const steps = piece.columns.step_index as Int32Array;
	let numRows = steps.length;
	while (numRows > 0 && steps[numRows - 1]! >= stepIndex) numRows--;
	return numRows === steps.length ? piece : { columns: firstRows(name, piece.columns, numRows), numRows };
}

/** Source of a live trace. Rows come in by `append`, in order. */
export class TraceRecorder implements TraceSource {
	readonly metadata: TraceMetadata;
	readonly #beforeRead: () => void;
	readonly #pieces = new Map<TraceTableName, Piece[]>(traceTableNames.map((name) => [name, []]));
	readonly #waiting = new Map<TraceTableName, Piece[]>(traceTableNames.map((name) => [name, []]));

	/** @param beforeRead called before a table is made, to append what the engine still holds */
	constructor(metadata: TraceMetadata, beforeRead: () => void) {
		this.metadata = metadata;
		this.#beforeRead = beforeRead;
	}

	/** Takes over rows of all tables. */
	append(trace: NativeTrace): void {
		for (const name of traceTableNames) {
			const columns = trace[name];
			const numRows = countRows(name, columns);
			if (numRows === 0) continue;
			const waiting = this.#waiting.get(name)!;
			waiting.push({ columns, numRows });
			if (waiting.length >= maxWaiting) this.#settle(name);
		}
	}

	/** Forgets the rows from a step on, as the session went back to before it; tables handed out keep them. */
	cutAt(stepIndex: number): void {
		for (const name of traceTableNames) {
			this.#settle(name);
			const pieces = this.#pieces.get(name)!.map((piece) => cutPiece(name, piece, stepIndex));
			this.#pieces.set(
				name,
				pieces.filter((piece) => piece.numRows > 0),
			);
		}
	}

	/** Takes over the rows of a fork of this recorder. */
	restore(fork: TraceRecorder): void {
		for (const name of traceTableNames) {
			this.#waiting.set(name, []);
			this.#pieces.set(name, [...fork.#pieces.get(name)!]);
		}
	}

	/** A recorder that goes on from the rows so far; the rows themselves are shared. */
	fork(metadata: TraceMetadata, beforeRead: () => void): TraceRecorder {
		const fork = new TraceRecorder(metadata, beforeRead);
		for (const name of traceTableNames) {
			this.#settle(name);
			fork.#pieces.set(
				name,
				this.#pieces.get(name)!.map(({ columns, numRows }) => ({ columns, numRows })),
			);
		}
		return fork;
	}

	table(name: TraceTableName): Table {
		this.#beforeRead();
		this.#settle(name);
		const schema = arrowSchema(name, this.metadata);
		const batches = this.#pieces.get(name)!.map((piece) => {
			piece.batch ??= toRecordBatch(name, schema, piece.columns);
			return piece.batch;
		});
		return new Table(schema, batches);
	}

	// Joins waiting rows, and earlier pieces not much longer than what follows them: each row is copied a logarithmic
	// number of times at most.
	#settle(name: TraceTableName): void {
		const pieces = this.#pieces.get(name)!;
		let group: Piece[] = [];
		let numRows = 0;
		const close = () => {
			if (group.length === 0) return;
			while (pieces.length > 0 && pieces.at(-1)!.numRows < Math.min(2 * numRows, joinBelowRows)) {
				const last = pieces.pop()!;
				group.unshift(last);
				numRows += last.numRows;
			}
			pieces.push({
				columns: concatColumns(
					name,
					group.map((piece) => piece.columns),
				),
				numRows,
			});
			group = [];
			numRows = 0;
		};
		for (const piece of this.#waiting.get(name)!) {
			if (piece.numRows >= joinBelowRows) {
				close();
				pieces.push(piece);
			} else {
				group.push(piece);
				numRows += piece.numRows;
			}
		}
		close();
		this.#waiting.set(name, []);
	}
}
