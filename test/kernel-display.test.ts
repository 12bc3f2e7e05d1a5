// What cells show, over raw ZeroMQ: outputs replaced in place, cleared, helpers for each format, progress bars.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Exchange, KernelClient, type Received } from "./helpers/kernel-client.js";

let kernel: KernelClient;

before(async () => {
	kernel = await KernelClient.start();
});

after(() => kernel.stop());

const shown = ({ iopub }: Exchange): Received[] => iopub.filter(({ type }) => /display_data|clear_output/.test(type));

/** Data of the one display of a cell that must succeed. */
async function data(code: string): Promise<Record<string, unknown>> {
	const exchange = await kernel.execute(code);
	assert.equal(exchange.reply.status, "ok", exchange.reply.evalue);
	const [only, ...more] = shown(exchange);
	assert.equal(more.length, 0);
	return only!.content.data;
}

test("a handle replaces its output; two displays of one name are replaced together", async () => {
	const cell = await kernel.execute(
		"const handle = await display('one'); await handle.update('two'); await display(1, { displayId: 'named' });" +
			"await display(2, { displayId: 'named' }); await display(3, { displayId: 'named', update: true }); handle.displayId",
	);
	const [first, second, ...named] = shown(cell);
	assert.deepEqual([first!.type, second!.type], ["display_data", "update_display_data"]);
	const id = first!.content.transient.display_id;
	assert.ok(id.length > 10);
	assert.equal(second!.content.transient.display_id, id);
	assert.equal(second!.content.data["text/plain"], "'two'");
	assert.deepEqual(
		named.map(({ type, content }) => [type, content.transient.display_id, content.data["text/plain"]]),
		[
			["display_data", "named", "1"],
			["display_data", "named", "2"],
			["update_display_data", "named", "3"],
		],
	);
	const later = await kernel.execute("await handle.update('three')");
	assert.equal(shown(later)[0]!.content.transient.display_id, id);
});

test("output is cleared at once, or when the next comes", async () => {
	const cell = await kernel.execute(
		"display(1); clearOutput({ wait: true }); display(2); clearOutput(); display.clear();",
	);
	assert.deepEqual(
		shown(cell).map(({ type, content }) => (type === "clear_output" ? content.wait : content.data["text/plain"])),
		["1", true, "2", false, false],
	);
});

test("helpers give their formats, each with text", async () => {
	assert.deepEqual(await data("display.html('<b>x</b>')"), { "text/plain": "<b>x</b>", "text/html": "<b>x</b>" });
	assert.equal((await data("display.markdown('**x**')"))["text/markdown"], "**x**");
	assert.deepEqual(await data("display.latex('e^{i\\\\pi}')"), {
		"text/plain": "e^{i\\pi}",
		"text/latex": "$$e^{i\\pi}$$",
	});
	assert.equal((await data("display.latex('where $x$ is 1')"))["text/latex"], "where $x$ is 1");
	const json = await data("display.json({ a: new Map([['k', 1n]]), b: Float32Array.of(0.5, NaN) })");
	assert.deepEqual(json["application/json"], { a: { k: 1 }, b: [0.5, null] });
	assert.equal(typeof json["text/plain"], "string");
	assert.equal((await data("display.svg('<svg/>')"))["image/svg+xml"], "<svg/>");
	const webp = await data("display.image(Buffer.from('RIFF....WEBPVP8 ', 'latin1'))");
	assert.equal(Buffer.from(webp["image/webp"] as string, "base64").toString("latin1"), "RIFF....WEBPVP8 ");
	const { reply } = await kernel.execute("await display.image(new Uint8Array(3))");
	assert.match(reply.evalue, /\[ERR_OCTAVO_DISPLAY\] Expected the bytes of a PNG, JPEG, GIF, WebP or SVG image/);
});

test("elements and canvases of other libraries show themselves", async () => {
	assert.deepEqual((await data("display({ outerHTML: '<p>x</p>' })"))["text/html"], "<p>x</p>");
	assert.equal((await data("display({ outerHTML: '<svg></svg>' })"))["image/svg+xml"], "<svg></svg>");
	assert.equal((await data("display({ toDataURL: () => 'data:image/png;base64,aGk=' })"))["image/png"], "aGk=");
	assert.equal((await data("display({ _repr_html_: () => '<i>r</i>' })"))["text/html"], "<i>r</i>");
});

test("a progress bar moves in place, seldom, and ends full", async () => {
	const cell = await kernel.execute(
		"const bar = progress(100_000, 'work'); for (let i = 0; i < 100_000; i++) bar.advance(); bar.advance(); bar.finish(); bar.done",
	);
	const bars = shown(cell);
	assert.ok(bars.length >= 2 && bars.length < 20, `${bars.length} messages`);
	assert.equal(new Set(bars.map(({ content }) => content.transient.display_id)).size, 1);
	assert.deepEqual(bars.map(({ type }) => type).slice(0, 2), ["display_data", "update_display_data"]);
	assert.match(bars[0]!.content.data["text/plain"], /^work ░{24} 0% 0\/100000 in /);
	assert.match(bars.at(-1)!.content.data["text/plain"], /^work █{24} 100% 100000\/100000 in [\d.]+ s, \S+\/s$/);
	assert.match(bars.at(-1)!.content.data["text/html"], /<progress [^>]*value="1">/);
});

test("progress goes through items, also asynchronous ones, and stops where the loop does", async () => {
	const last = async (code: string) => shown(await kernel.execute(code)).at(-1)!.content.data["text/plain"];
	assert.match(
		await last("for (const x of progress([1, 2, 3, 4], 'four')) if (x === 3) break;"),
		/^four █{12}░{12} 50% 2\/4/,
	);
	assert.match(await last("for (const x of progress(new Set([1, 2]))) await 1;"), /100% 2\/2/);
	assert.match(
		await last(
			"async function* three() { yield 1; yield 2; yield 3; }\nfor await (const x of progress(three(), '<b>')) await 1;",
		),
		/^<b> 3 in /,
	);
	for (const wrong of ["-1", "NaN", "'text'", "{} as any"]) {
		assert.match((await kernel.execute(`progress(${wrong} as any)`)).reply.evalue, /ERR_OCTAVO_OPTION/, wrong);
	}
});

test("an Arrow table comes as text, HTML and an Arrow stream in base64", async () => {
	const table = await data(
		"import { tableFromArrays } from 'apache-arrow'; import 'octavo'; display(tableFromArrays({ a: [1, 2] }))",
	);
	assert.deepEqual(Object.keys(table).sort(), ["application/vnd.apache.arrow.stream", "text/html", "text/plain"]);
	const stream = Buffer.from(table["application/vnd.apache.arrow.stream"] as string, "base64");
	assert.equal(stream.readUInt32LE(0), 0xffffffff);
});

test("large outputs arrive whole and in their place: displays, updates and results, of silent cells none", async () => {
	const line = `<p class="a">\n\té → 😀 \\ </p>`;
	const text = line.repeat(20_000);
	await kernel.execute(`const text = ${JSON.stringify(line)}.repeat(20_000);`);
	const silent = await kernel.execute("display.html(text); text", { silent: true });
	assert.deepEqual(
		silent.iopub.map(({ type }) => type),
		["status", "status"],
	);
	const exchange = await kernel.execute(`
		const large = await display.html(text, { displayId: "large" });
		for (let i = 0; i < 10; i++) { display.html(i + text); display(i); console.log(i); }
		await large.update("small now");
		({ [Symbol.for("Jupyter.display")]: () => ({ "text/plain": "short", "text/html": "result" + text }) })`);
	const seen = exchange.iopub.flatMap(({ type, content }) => {
		if (type === "stream") return [`stream ${content.text.trim()}`];
		const html = content.data?.["text/html"];
		if (html !== undefined) {
			assert.ok(html.endsWith(text), "whole");
			return [`${type} ${html.slice(0, -text.length)} html`];
		}
		return content.data ? [`${type} ${content.data["text/plain"]}`] : [];
	});
	const each = (i: number) => [`display_data ${i} html`, `display_data ${i}`, `stream ${i}`];
	assert.deepEqual(seen, [
		"display_data  html",
		...Array.from({ length: 10 }, (_, i) => each(i)).flat(),
		"update_display_data 'small now'",
		"execute_result result html",
	]);
	const displays = exchange.iopub.filter(({ content }) => content.transient?.display_id === "large");
	assert.deepEqual(
		displays.map(({ type }) => type),
		["display_data", "update_display_data"],
	);
	const result = exchange.iopub.find(({ type }) => type === "execute_result")!;
	assert.equal(result.content.execution_count, exchange.reply.execution_count);
	assert.deepEqual(result.content.metadata, {});
});

test("a long text is not sent a second time as plain text", async () => {
	for (const [helper, name] of [
		["html", "HTML"],
		["markdown", "Markdown"],
		["latex", "LaTeX"],
	]) {
		assert.equal((await data(`display.${helper}("x".repeat(30_000))`))["text/plain"], `${name}: 30000 characters`);
	}
});

test("a cell that ends with a display shows nothing more, awaited or not", async () => {
	for (const code of [
		"display(1)",
		"await display(1)",
		"display.markdown('1')",
		"display.image(Buffer.from('GIF89a'))",
		"const last = display(1);\nlast",
	]) {
		const { reply, iopub } = await kernel.execute(code);
		assert.equal(reply.status, "ok", code);
		const types = iopub.map(({ type }) => type).filter((type) => /display|result/.test(type));
		assert.deepEqual(types, ["display_data"], code);
	}
	const { iopub } = await kernel.execute("const handle = await display(1);\nhandle.update(2)");
	assert.ok(!iopub.some(({ type }) => type === "execute_result"));
});

test("an error as a result names the cell's own lines; columns, batches and schemas show what they hold", async () => {
	const result = async (code: string) => {
		const { reply, iopub } = await kernel.execute(code);
		assert.equal(reply.status, "ok", reply.evalue);
		return iopub.find(({ type }) => type === "execute_result")!.content.data as Record<string, string>;
	};
	const error = (await result("\nnew RangeError('far')"))["text/plain"]!;
	assert.match(error, /^RangeError: far\n {4}at cell \[\d+\]:2:1\n/);
	assert.doesNotMatch(error, /node:|dist/);
	await result(
		"import * as arrow from 'apache-arrow';\nconst table = arrow.tableFromArrays({ n: [1.5, 2], t: [new Date(0), new Date(1000)] });\n0",
	);
	assert.match((await result("table"))["text/plain"]!, /1970-01-01T00:00:01\.000Z/);
	assert.equal((await result("table.getChild('n')"))["text/plain"], "Vector<Float64>, 2 values\n[1.5, 2]");
	assert.match((await result("table.schema"))["text/plain"]!, /^Schema of 2 columns\nn {2}Float64/);
	assert.match((await result("table.batches[0]"))["text/html"]!, /2 rows × 2 columns/);
});
