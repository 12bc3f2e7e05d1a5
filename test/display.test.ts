// Values → MIME bundles: each convention, hostile values, and which output carries plotly.js.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createDisplay, html, type MimeBundle, markdown } from "../kernel/display/index.js";

const symbol = Symbol.for("Jupyter.display");

async function show(value: unknown): Promise<MimeBundle["data"]> {
	const { data } = await createDisplay().toMimeBundle(value);
	assert.equal(typeof data["text/plain"], "string");
	assert.doesNotThrow(() => JSON.stringify(data));
	return data;
}

const text = async (value: unknown) => (await show(value))["text/plain"] as string;

test("a value's display symbol decides, sync or async", async () => {
	const data = { "text/plain": "p", "text/html": "<b>h</b>" };
	assert.deepEqual(await show({ [symbol]: () => data }), data);
	assert.deepEqual(await show({ [symbol]: async () => data }), data);
	class Shown {
		[symbol]() {
			return { "text/plain": this.constructor.name };
		}
	}
	assert.deepEqual(await show(new Shown()), { "text/plain": "Shown" });
});

test("a bundle without text gets some", async () => {
	assert.match(await text({ [symbol]: () => ({ "text/html": "<b>h</b>" }), a: 1 }), /a: 1/);
});

const bare: [mime: string, content: unknown, text: string | RegExp][] = [
	["text/html", "<style>p{}</style><h1>A &amp; B</h1><p>one<br>two</p><script>x()</script>", "A & B\none\ntwo"],
	["text/html", "<table><tr><td>1</td><td>&#955;</td></tr><tr><td>2</td></tr></table>", "1\tλ\n2"],
	["text/html", "<canvas></canvas>", "HTML: 17 characters"],
	["text/html", `<p>${"x".repeat(3000)}</p>`, /^x{2000}… HTML: 3007 characters$/],
	["text/markdown", "# A", "# A"],
	["image/svg+xml", "<svg/>", "SVG: 6 characters"],
	["image/png", new Uint8Array(3), "Image: image/png"],
	["application/json", { a: [1] }, "{ a: [ 1 ] }"],
];
for (const [mime, content, words] of bare) {
	test(`an object that is nothing but ${mime} has its words as text: ${String(words).slice(0, 20)}`, async () => {
		class Shown {
			[symbol]() {
				return { [mime]: content };
			}
		}
		for (const value of [new Shown(), { [symbol]: () => ({ [mime]: content }) }]) {
			const shown = await text(value);
			if (typeof words === "string") assert.equal(shown, words);
			else assert.match(shown, words);
		}
	});
}

test("an element's text is what it says, not what it is made of", async () => {
	class Element {
		#inner = "says";
		get outerHTML() {
			return `<p>${this.#inner}</p>`;
		}
	}
	assert.equal(await text(new Element()), "says");
});

test("an error as a value is explained by whoever knows the cells", async () => {
	const display = createDisplay(({ message }) => `explained: ${message}`);
	assert.equal((await display.toMimeBundle(new RangeError("far"))).data["text/plain"], "explained: far");
	const own = Object.assign(new Error("own"), { [symbol]: () => ({ "text/plain": "shown by itself" }) });
	assert.equal((await display.toMimeBundle(own)).data["text/plain"], "shown by itself");
});

const failures: [what: string, show: () => unknown, note: RegExp][] = [
	[
		"throws",
		() => {
			throw new RangeError("no view");
		},
		/display failed: RangeError: no view/,
	],
	["rejects", () => Promise.reject(new Error("later")), /display failed: Error: later/],
	[
		"throws something with a hostile toString",
		() => {
			throw {
				toString() {
					throw 1;
				},
			};
		},
		/display failed: a thrown object/,
	],
	["gives no object", () => 7, /Expected an object of MIME types from its display symbol but received a number/],
	["gives null", () => null, /received null/],
	["names no MIME type", () => ({ html: "x" }), /Expected a MIME type from its display symbol but received "html"/],
];
for (const [what, method, note] of failures) {
	test(`a display that ${what} leaves the value's text and a note`, async () => {
		const shown = await text({ [symbol]: method, answer: 42 });
		assert.match(shown, /answer: 42/);
		assert.match(shown, note);
	});
}

test("one bad format does not lose the others", async () => {
	const cyclic: Record<string, unknown> = {};
	cyclic.self = cyclic;
	const data = await show({
		[symbol]: () => ({ "text/plain": "p", "application/json": cyclic, "text/html": 5, "text/markdown": "**m**" }),
	});
	assert.equal(data["text/markdown"], "**m**");
	assert.ok(!("application/json" in data) && !("text/html" in data));
	assert.match(
		data["text/plain"] as string,
		/^p\n\(application\/json left out: .*cycle; text\/html left out: .*number\)$/,
	);
});

test("JSON types become JSON: typed arrays, gaps, bigints, maps, dates, keys named __proto__", async () => {
	const given = {
		a: Float32Array.of(1, 2.5),
		b: [1, Number.NaN, Number.POSITIVE_INFINITY, undefined, 3n, 2n ** 70n],
		c: new Map([["k", new Set([1])]]),
		d: new Date(0),
		e: BigInt64Array.of(5n),
		f: () => 1,
		["__proto__x".slice(0, 9)]: 1,
	};
	const data = await show({ [symbol]: () => ({ "application/vnd.test+json": given }) });
	assert.equal(
		JSON.stringify(data["application/vnd.test+json"]),
		'{"a":[1,2.5],"b":[1,null,null,null,3,"1180591620717411303424"],"c":{"k":[1]},"d":"1970-01-01T00:00:00.000Z","e":[5],"__proto__":1}',
	);
});

test("conventions of other kernels are known", async () => {
	assert.equal((await show({ toHTML: () => "<i>x</i>" }))["text/html"], "<i>x</i>");
	assert.equal((await show({ _toPng: () => "aGk=" }))["image/png"], "aGk=");
	assert.deepEqual(await show({ _toMime: () => ({ "text/plain": "m" }) }), { "text/plain": "m" });
	assert.equal((await show({ [symbol]: () => ({ "text/markdown": ["a", "b"] }) }))["text/markdown"], "ab");
});

test("bytes of images are shown as images, others as text", async () => {
	const png = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1);
	assert.equal((await show(png))["image/png"], Buffer.from(png).toString("base64"));
	assert.equal((await show(Buffer.from([0xff, 0xd8, 0xff, 0])))["image/jpeg"], "/9j/AA==");
	const svg = '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>';
	assert.equal((await show(Buffer.from(svg)))["image/svg+xml"], svg);
	assert.deepEqual(Object.keys(await show(Buffer.from("<svgx>"))), ["text/plain"]);
	assert.match(await text(Uint8Array.of(1, 2, 3)), /Uint8Array\(3\) \[ 1, 2, 3 \]/);
});

test("a string that looks like HTML stays text", async () => {
	assert.deepEqual(await show("<b>x</b>"), { "text/plain": "'<b>x</b>'" });
});

test("html and markdown show themselves", async () => {
	assert.equal((await show(html("<b>x</b>")))["text/html"], "<b>x</b>");
	assert.equal((await show(markdown("**x**")))["text/markdown"], "**x**");
});

const trap = (): never => {
	throw new Error("trapped");
};
const revoked = Proxy.revocable({}, {});
revoked.revoke();
const cycle: unknown[] = [];
cycle.push(cycle);
let deep: unknown = {};
for (let i = 0; i < 100_000; i++) deep = { deep };
const hostile: [what: string, value: unknown, expected: RegExp][] = [
	["undefined", undefined, /^undefined$/],
	["a bigint", 12n, /^12n$/],
	["a symbol", Symbol("s"), /Symbol\(s\)/],
	["an object with no prototype", Object.assign(Object.create(null), { a: 1 }), /null prototype\] \{ a: 1 \}/],
	[
		"a throwing getter",
		{
			get a() {
				return trap();
			},
			b: 2,
		},
		/b: 2/,
	],
	[
		"a throwing display getter",
		{
			get [symbol]() {
				return trap();
			},
		},
		/display failed: Error: trapped/,
	],
	[
		"a proxy whose traps all throw",
		new Proxy({ a: 1 }, { get: trap, has: trap, ownKeys: trap, getPrototypeOf: trap, getOwnPropertyDescriptor: trap }),
		/a: 1/,
	],
	["a revoked proxy", revoked.proxy, /Revoked Proxy|cannot be shown/],
	["a cycle", cycle, /Circular/],
	[
		"a throwing custom inspection",
		{ [Symbol.for("nodejs.util.inspect.custom")]: trap },
		/cannot be shown: Error: trapped/,
	],
	["a function with a display-like method", Object.assign(() => 1, { toHTML: trap }), /Function/],
	["a deep nest", deep, /deep: \[Object\]|cannot be shown/],
	["an error", new TypeError("wrong"), /^TypeError: wrong\n {4}at /],
	["an array of a million numbers", new Float64Array(1e6), /999900 more items/],
	["a string of a million characters", "x".repeat(1e6), /990000 more characters/],
	["a thousand long strings", new Array(100).fill("y".repeat(9000)), /more characters$/],
];
for (const [what, value, expected] of hostile) {
	test(`shows ${what}`, async () => {
		const shown = await text(value);
		assert.match(shown, expected);
		assert.ok(shown.length < 101_000);
	});
}

const figure = {
	[symbol]: () => ({
		"application/vnd.plotly.v1+json": { data: [{ y: [1, 2] }], layout: { height: 300 } },
		"text/plain": "Figure: </script><b>",
	}),
};

async function carries(display: ReturnType<typeof createDisplay>): Promise<boolean> {
	const page = (await display.toMimeBundle(figure)).data["text/html"] as string;
	const large = page.length > 1e6;
	assert.equal(page.includes('id="octavo-plotly"'), large);
	assert.ok(large || page.length < 5000, "a figure without plotly.js is small");
	return large;
}

test("the first figure of a session carries plotly.js, the others do not", async () => {
	const display = createDisplay();
	display.beginCell("a");
	assert.deepEqual([await carries(display), await carries(display)], [true, false]);
	display.beginCell("b");
	assert.equal(await carries(display), false);
	assert.equal(await carries(createDisplay()), true);
});

test("when the cell that carries plotly.js runs again, its figure carries it again", async () => {
	const display = createDisplay();
	display.beginCell("a");
	await carries(display);
	display.beginCell("b");
	await carries(display);
	display.beginCell("a");
	assert.deepEqual([await carries(display), await carries(display)], [true, false]);
	display.beginCell("b");
	assert.equal(await carries(display), false);
});

test("when the cell that carried plotly.js draws no more, the next figure carries it", async () => {
	const display = createDisplay();
	display.beginCell("a");
	await carries(display);
	display.beginCell("a");
	display.beginCell("b");
	assert.equal(await carries(display), true);
});

test("a figure with HTML of its own is left alone", async () => {
	const { data } = await createDisplay().toMimeBundle({
		[symbol]: () => ({ "application/vnd.plotly.v1+json": { data: [] }, "text/html": "<i>mine</i>" }),
	});
	assert.equal(data["text/html"], "<i>mine</i>");
});

test("text of a figure cannot end its script or its element", async () => {
	const evil = "</script><script>alert(1)</script>\u2028";
	const display = createDisplay();
	await carries(display);
	const { data } = await display.toMimeBundle({
		[symbol]: () => ({ "application/vnd.plotly.v1+json": { data: [], layout: { title: evil } }, "text/plain": evil }),
	});
	const page = data["text/html"] as string;
	assert.equal(page.match(/<\/script>/g)!.length, 1);
	assert.equal(page.match(/<script/g)!.length, 1);
});
