// A layer's block table as an Arrow table, for looking at a session that stands still. Columns are named as in the
// trace's `blocks`.

import { Field, type Float32, Int32, List, Table, tableFromArrays, Utf8, vectorFromArray } from "apache-arrow";

/** Columns of a block table. */
export type BlockTableTypes = {
	logical_index: Int32;
	block_id: Int32;
	ref_count: Int32;
	filled: Int32;
	score: Float32;
	positions: List<Int32>;
	text: Utf8;
};

/** A block table: a row a block, in logical order. */
export type BlockTable = Table<BlockTableTypes>;

/** One block for `makeBlockTable`, in logical order. */
export interface BlockTableRow {
	blockId: number;
	refCount: number;
	filled: number;
	score: number;
	positions: Int32Array;
	text: string;
}

/** Makes the table. */
export function makeBlockTable(rows: BlockTableRow[]): BlockTable {
	const list = new List(new Field("item", new Int32(), false));
	const flat = tableFromArrays({
		logical_index: Int32Array.from(rows, (_, index) => index),
		block_id: Int32Array.from(rows, (row) => row.blockId),
		ref_count: Int32Array.from(rows, (row) => row.refCount),
		filled: Int32Array.from(rows, (row) => row.filled),
		score: Float32Array.from(rows, (row) => row.score),
	});
	const positions = vectorFromArray(
		rows.map((row) => Array.from(row.positions)),
		list,
	);
	const text = vectorFromArray(
		rows.map((row) => row.text),
		new Utf8(),
	);
	return flat.assign(new Table({ positions, text })) as unknown as BlockTable;
}
