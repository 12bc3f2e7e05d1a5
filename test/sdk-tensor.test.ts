// Tensors: views without copies, checks, 16-bit floats, Arrow vectors, and how they show.

import assert from "node:assert/strict";
import { test } from "node:test";
import { inflateSync } from "node:zlib";
import { Tensor } from "../sdk/tensor.js";

const counting = (n: number) => Float32Array.from({ length: n }, (_, i) => i);

test("indexes and slices over the same memory", () => {
	const tensor = new Tensor("f32", counting(24), [2, 3, 4], ["a", "b", "c"]);
	assert.equal(tensor.get(1, 2, 3), 23);
	assert.deepEqual(Array.from(tensor.at(1, 0).data), [12, 13, 14, 15]);
	assert.deepEqual(tensor.at(1).axisNames, ["b", "c"]);
	assert.deepEqual(tensor.at(1).slice(1, 3).shape, [2, 4]);
	assert.deepEqual(Array.from(tensor.at(1).slice(2).data), [20, 21, 22, 23]);
	const copy = tensor.copy();
	tensor.at(0).data[0] = 99;
	assert.equal(tensor.get(0, 0, 0), 99);
	assert.equal(copy.get(0, 0, 0), 0);
});

test("refuses what does not fit", () => {
	const code = "ERR_OCTAVO_TENSOR";
	const tensor = new Tensor("f32", counting(6), [2, 3]);
	assert.throws(() => new Tensor("f32", counting(5), [2, 3]), { code, message: /6 elements/ });
	assert.throws(() => new Tensor("i32", counting(6), [2, 3]), { code, message: /Int32Array for i32/ });
	assert.throws(() => new Tensor("f32", counting(6), [2, 3], ["one"]), { code, message: /2 axis names/ });
	assert.throws(() => tensor.get(2, 0), { code, message: /from 0 to 1 on axis_0/ });
	assert.throws(() => tensor.get(0), { code });
	assert.throws(() => tensor.at(0, 0), { code });
	assert.throws(() => tensor.at(-1), { code });
	assert.throws(() => tensor.slice(1, 3), { code });
});

test("widens bf16 and f16", () => {
	const bf16 = new Tensor("bf16", Uint16Array.of(0x3f80, 0xc000, 0x7f80, 0x7fc0), [4]);
	assert.deepEqual(Array.from(bf16.toFloat32()), [1, -2, Number.POSITIVE_INFINITY, Number.NaN]);
	const f16 = new Tensor("f16", Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0xfc00, 0x7e00, 0x8000), [8]);
	const { POSITIVE_INFINITY, NEGATIVE_INFINITY, NaN: nan } = Number;
	assert.deepEqual(Array.from(f16.toFloat32()), [
		1,
		-2,
		2 ** -24,
		65504,
		POSITIVE_INFINITY,
		NEGATIVE_INFINITY,
		nan,
		-0,
	]);
});

test("statistics leave NaN out and count it", () => {
	const { min, max, mean, std, numNan } = new Tensor("f32", Float32Array.of(1e6 + 1, 1e6 + 3, Number.NaN), [3]).stats();
	assert.deepEqual([min, max, mean, std, numNan], [1e6 + 1, 1e6 + 3, 1e6 + 2, 1, 1]);
	assert.ok(Number.isNaN(new Tensor("f32", new Float32Array(0), [0]).stats().mean));
});

test("becomes an Arrow vector over the same memory", () => {
	const data = counting(12);
	const vector = new Tensor("f32", data, [2, 3, 2]).toArrow();
	assert.equal(vector.length, 2);
	assert.deepEqual(JSON.parse(JSON.stringify(vector.get(1))), [
		[6, 7],
		[8, 9],
		[10, 11],
	]);
	assert.equal(vector.data[0]!.children[0]!.children[0]!.values.buffer, data.buffer);
	const bf16 = new Tensor("bf16", Uint16Array.of(0x3f80), [1]).toArrow();
	assert.equal(bf16.get(0), 1);
});

interface Shown {
	"text/plain": string;
	"text/html": string;
}
const show = (tensor: Tensor) => (tensor as unknown as Record<symbol, () => Shown>)[Symbol.for("Jupyter.display")]!();

test("shows shape, statistics and a heat map", () => {
	const shown = show(new Tensor("f32", Float32Array.of(-2, 0, 2, Number.NaN, 1, -1), [2, 3], ["row", "column"]));
	assert.match(shown["text/plain"], /Tensor f32 \[row 2 × column 3\]/);
	assert.match(shown["text/plain"], /min -2 {2}max 2 {2}mean 0 .*NaN 1/);
	const png = Buffer.from(/base64,([^"]+)"/.exec(shown["text/html"])![1]!, "base64");
	assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [3, 2]);
	const start = png.indexOf("IDAT");
	const pixels = inflateSync(png.subarray(start + 4, start + 4 + png.readUInt32BE(start - 4)));
	// Filter byte, then a colour an element: lowest blue, zero white, highest red, NaN grey.
	assert.deepEqual(Array.from(pixels.subarray(0, 14)), [0, 33, 102, 172, 255, 255, 255, 178, 24, 43, 0, 128, 128, 128]);
});

test("shows every kind of shape, and big ones shortly", () => {
	for (const shape of [[], [0], [5], [1, 1], [3, 0, 2], [9, 2, 2, 2], [300, 200]]) {
		const tensor = new Tensor("f32", counting(shape.reduce((a, b) => a * b, 1)), shape);
		const shown = show(tensor);
		assert.ok(shown["text/plain"].startsWith("Tensor f32"), String(shape));
		assert.ok(shown["text/html"].length < 60_000, `${shape}: ${shown["text/html"].length}`);
		assert.deepEqual(show(tensor), shown);
	}
});
