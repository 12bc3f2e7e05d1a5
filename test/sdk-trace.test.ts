// Traces: columns to Arrow, joined without loss, saved and read back by apache-arrow and by polars.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Table, tableFromArrays, tableFromIPC } from "apache-arrow";
import polars from "nodejs-polars";
import type { NativeColumns, NativeTrace } from "../native/addon.js";
import { columnsOf, type TraceMetadata } from "../sdk/trace/arrow-schema.js";
import { TraceRecorder } from "../sdk/trace/recorder.js";
import { type TraceTableName, traceTableNames } from "../sdk/trace/schema.js";
import { tableToHtml, tableToText } from "../sdk/trace/table-view.js";
import { Trace, type TraceTables } from "../sdk/trace/trace.js";
import { temporaryFolder } from "./helpers/temporary-folder.js";

const metadata: TraceMetadata = {
	...{
		version: "0",
		created: "2000-01-01T00:00:00Z",
		model: "m",
		policy: "paged-eviction",
		policyOptions: { budget: 48 },
	},
	...{ blockSize: 16, numBlocks: 5, numLayers: 2, seed: 7, engine: "none" },
};

// Values that depend on table, column and row, so that a column or row in a wrong place shows.
function plainColumns(name: TraceTableName, numRows: number, firstRow = 0): Record<string, unknown[]> {
	return Object.fromEntries(
		columnsOf(name).map(([column, { type, values }], c) => [
			column,
			Array.from({ length: numRows }, (_, i) => {
				const row = firstRow + i;
				const value = c * 1000 + row;
				if (type === "bool") return row % 3 === 0;
				if (values) return values[row % values.length];
				if (type.endsWith("[]")) return Array.from({ length: row % 4 }, (_, k) => value + k);
				return type === "i32" ? value : value + 0.5;
			}),
		]),
	);
}

function nativeColumns(name: TraceTableName, numRows: number, firstRow: number): NativeColumns {
	const plain = plainColumns(name, numRows, firstRow);
	const flat = { i32: Int32Array, f32: Float32Array, f64: Float64Array, bool: Uint8Array, text: Uint8Array };
	return Object.fromEntries(
		columnsOf(name).map(([column, { type, values }]) => {
			const rows = plain[column]!;
			if (type === "i32[]" || type === "f32[]") {
				const lists = rows as number[][];
				const offsets = new Int32Array(numRows + 1);
				lists.forEach((list, i) => {
					offsets[i + 1] = offsets[i]! + list.length;
				});
				return [column, { offsets, values: (type === "i32[]" ? Int32Array : Float32Array).from(lists.flat()) }];
			}
			const numbers = rows.map((value) => (values ? values.indexOf(value as string) : Number(value)));
			return [column, flat[type].from(numbers)];
		}),
	);
}

function nativeTrace(numRows: number, firstRow: number): NativeTrace {
	const entries = traceTableNames.map((name) => [name, nativeColumns(name, numRows, firstRow)]);
	return Object.fromEntries(entries) as NativeTrace;
}

function rowsOf(table: Table): Record<string, unknown[]> {
	const plain = (value: unknown) =>
		typeof value === "object" && value !== null ? Array.from(value as number[]) : value;
	const columns = table.schema.fields.map(({ name }) => [name, Array.from(table.getChild(name)!, plain)]);
	return Object.fromEntries(columns);
}

function handWritten(numRows: number): TraceTables {
	return Object.fromEntries(traceTableNames.map((name) => [name, plainColumns(name, numRows)]));
}

test("columns keep name, order, type and value", () => {
	const trace = Trace.from(handWritten(10), metadata);
	for (const name of traceTableNames) {
		const table = trace.table(name) as unknown as Table;
		assert.deepEqual(
			table.schema.fields.map((field) => field.name),
			columnsOf(name).map(([column]) => column),
		);
		assert.deepEqual(rowsOf(table), plainColumns(name, 10));
	}
	const { fields } = trace.table("evictions").schema;
	assert.match(fields[1]!.metadata.get("description")!, /Step/);
});

test("a recorder joins short pieces and keeps long ones where they are", () => {
	let numReads = 0;
	const recorder = new TraceRecorder(metadata, () => numReads++);
	const long = 20_000;
	let rows = 0;
	const append = (numRows: number) => {
		const part = nativeTrace(numRows, rows);
		recorder.append(part);
		rows += numRows;
		return part;
	};
	for (let i = 0; i < 700; i++) append(i % 3);
	const longPart = append(long);
	for (let i = 0; i < 40; i++) append(1);
	for (const name of traceTableNames) {
		assert.deepEqual(rowsOf(recorder.table(name)), plainColumns(name, rows), name);
	}
	append(5);
	const table = recorder.table("blocks");
	assert.equal(table.numRows, rows);
	assert.ok(table.batches.length <= 6, `${table.batches.length} batches`);
	const kept = table.batches.find((batch) => batch.numRows === long)!;
	assert.equal(kept.data.children[0]!.values, longPart.blocks.step_index);
	assert.equal(numReads, traceTableNames.length + 1);
});

test("tables in hand do not change", () => {
	const recorder = new TraceRecorder(metadata, () => {});
	recorder.append(nativeTrace(3, 0));
	const before = recorder.table("steps");
	recorder.append(nativeTrace(3, 3));
	assert.equal(before.numRows, 3);
	assert.equal(recorder.table("steps").numRows, 6);
	assert.deepEqual(rowsOf(before), plainColumns("steps", 3));
});

for (const numRows of [0, 1, 50]) {
	test(`a saved trace of ${numRows} rows reads back in Octavo, apache-arrow and polars`, async (t) => {
		const folder = await temporaryFolder(t);
		const recorder = new TraceRecorder(metadata, () => {});
		for (let row = 0; row < numRows; row += 25) recorder.append(nativeTrace(Math.min(25, numRows - row), row));
		recorder.table("steps");
		const paths = await new Trace(recorder).save(join(folder, "deep", "run.arrow"));
		assert.deepEqual(
			paths.map((path) => path.slice(folder.length)),
			// Logits are an option: a run without them leaves no file.
			["", ".blocks", ".evictions", ".memory", ...(numRows > 0 ? [".logits"] : [])].map((n) => `/deep/run${n}.arrow`),
		);
		const loaded = await Trace.load(paths[0]!);
		assert.deepEqual(loaded.metadata, metadata);
		for (const [i, name] of traceTableNames.entries()) {
			const expected = plainColumns(name, numRows);
			assert.deepEqual(rowsOf(loaded.table(name) as unknown as Table), expected, `octavo ${name}`);
			if (!paths[i]) continue;
			const bytes = readFileSync(paths[i]!);
			assert.deepEqual(rowsOf(tableFromIPC(bytes)), expected, `arrow ${name}`);
			const frame = polars.readIPC(bytes);
			assert.deepEqual([frame.height, frame.columns], [numRows, Object.keys(expected)]);
			for (const column of frame.columns) {
				const read = frame.getColumn(column).toArray();
				assert.deepEqual(JSON.parse(JSON.stringify(read)), expected[column], `polars ${name}.${column}`);
			}
		}
		const again = join(folder, "again.arrow");
		await loaded.save(again);
		assert.deepEqual(
			readFileSync(again),
			readFileSync(paths[0]!).subarray(0),
			"saving what was loaded changes nothing",
		);
	});
}

test("refuses wrong tables, columns, paths and files", async (t) => {
	const code = "ERR_OCTAVO_TRACE";
	const { steps } = handWritten(2) as { steps: Record<string, unknown[]> };
	const { entropy, ...lacking } = steps;
	assert.throws(() => Trace.from({ steps: lacking }), { code, message: /column entropy/ });
	assert.throws(() => Trace.from({ steps: { ...steps, more: [1, 2] } }), { code, message: /received more/ });
	assert.throws(() => Trace.from({ steps: { ...steps, entropy: [1] } }), { code, message: /2 rows in column entropy/ });
	assert.throws(() => Trace.from({ steps: { ...steps, phase: ["prefill", "x"] } }), { code, message: /"x"/ });
	assert.throws(() => Trace.from({ step: steps } as never), { code, message: /"step"/ });
	assert.throws(() => Trace.from({ steps: new Table({}) }), { code, message: /column step_index/ });
	assert.throws(() => Trace.from({}).table("log" as never), { code, message: /"log"/ });
	await assert.rejects(Trace.from({}).save("run.parquet"), { code, message: /\.arrow/ });
	const folder = await temporaryFolder(t);
	const path = join(folder, "run.arrow");
	await assert.rejects(Trace.load(path), { code, message: /table steps/ });
	await Trace.from({}).save(path);
	await writeFile(join(folder, "run.blocks.arrow"), "nonsense");
	await assert.rejects(Trace.load(path), { code, message: /run\.blocks\.arrow/ });
	await Trace.from({}).save(path);
	await writeFile(join(folder, "run.blocks.arrow"), readFileSync(path));
	await assert.rejects(Trace.load(path), { code, message: /column layer_index/ });
});

test("tables show as text and HTML, shortened, with what was derived from them", () => {
	const table = Trace.from(handWritten(30)).table("evictions") as unknown as Table;
	const show = (value: Table) =>
		(value as unknown as Record<symbol, () => Record<string, string>>)[Symbol.for("Jupyter.display")]!();
	const shown = show(table);
	assert.match(shown["text/plain"]!, /30 rows × 16 columns, rows 0 to 19 shown/);
	assert.match(shown["text/html"]!, /title="Running number · Int32"/);
	assert.equal(shown["text/html"]!.match(/<tr>/g)!.length, 21);
	assert.match(show(table.slice(25, 30))["text/plain"]!, /5 rows × 16 columns$/);
	const lines = tableToText(table, { offset: 3, numRows: 2, maxListItems: 1 }).split("\n");
	assert.equal(lines.length, 4);
	assert.match(lines[1]!, /^3 .*\[13003, … 3 in all\]/);
});

test("a table goes along as an Arrow stream while it is small", () => {
	const show = (value: Table) =>
		(value as unknown as Record<symbol, () => Record<string, string | Uint8Array>>)[Symbol.for("Jupyter.display")]!();
	const small = tableFromArrays({ a: Int32Array.of(3, 1, 2) });
	const stream = show(small)["application/vnd.apache.arrow.stream"] as Uint8Array;
	assert.deepEqual([...tableFromIPC(stream).getChild("a")!], [3, 1, 2]);
	const large = show(tableFromArrays({ a: new Float64Array(200_000) }));
	assert.ok(!("application/vnd.apache.arrow.stream" in large));
	assert.match(large["text/plain"] as string, /not sent along as an Arrow stream: 1\.6 MB, more than 1 MiB/);
});

test("cells are escaped", () => {
	const table = tableFromArrays({ "<b>": ["<script>alert(1)</script>", "a & b"] });
	const html = tableToHtml(table);
	assert.equal(html.match(/<\/?script/g)?.length, 2);
	assert.ok(!html.includes("alert(1)</script>") && !html.includes("<b>"));
	assert.ok(html.includes("&lt;script&gt;") && html.includes("a &amp; b"));
});
