// What the kernel does with octavo_lane.node, on lanes of several sizes and at their very ends; test/kernel-lanes.test.ts
// tests the contract. Argument: the module. Run by ctest, so that sanitized builds see it as well.
import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import { createRequire } from "node:module";

const lane = createRequire(import.meta.url)(process.argv[2]);
const refused = { code: "ERR_OCTAVO_LANE" };

lane.keepFreed(true);
for (const sizeBytes of [1, 4095, 4096, 4097, 3 << 20]) {
	const descriptor = lane.open(sizeBytes);
	const map = lane.map(descriptor);
	const other = lane.map(descriptor);
	const bytes = Uint8Array.from({ length: sizeBytes }, (_, i) => (i * 31 + 7) & 255);
	const read = new Uint8Array(sizeBytes);
	assert.equal(lane.put(map, 0, bytes), true);
	assert.equal(lane.get(other, 0, read), true);
	assert.deepEqual(read, bytes);
	const last = new Uint8Array(1);
	assert.equal(lane.get(other, sizeBytes - 1, last), true);
	assert.equal(last[0], bytes.at(-1));
	assert.equal(lane.put(map, sizeBytes, new Uint8Array(0)), true);
	for (const position of [-1, 0.5, Number.NaN, sizeBytes, Number.MAX_SAFE_INTEGER, 2 ** 60, Infinity]) {
		assert.equal(lane.put(map, position, last), false, String(position));
		assert.equal(lane.get(map, position, last), false, String(position));
	}
	assert.equal(lane.put(map, 1, bytes), false);
	lane.freePages(descriptor, sizeBytes >> 1);
	assert.equal(lane.get(other, 0, read), true);
	assert.deepEqual(read.subarray(0, sizeBytes >> 1), bytes.subarray(0, sizeBytes >> 1));
	assert.equal(
		read.subarray(sizeBytes >> 1).every((byte) => byte === 0),
		true,
	);
	lane.unmap(map);
	lane.unmap(map);
	assert.equal(lane.put(map, 0, new Uint8Array(1)), false);
	assert.equal(lane.get(other, 0, last), true); // the other mapping is its own
	closeSync(descriptor);
}
for (const size of [-1, 1.5, Number.NaN, "1", undefined, 2 ** 53]) assert.throws(() => lane.open(size), refused);
for (const descriptor of [-1, 1 << 20, "0", undefined]) {
	assert.throws(() => lane.map(descriptor), refused);
	assert.throws(() => lane.freePages(descriptor, 0), refused);
}
for (const map of [undefined, {}, 1]) assert.throws(() => lane.put(map, 0, new Uint8Array(1)), refused);
const map = lane.map(lane.open(10));
for (const bytes of [undefined, [1], new Uint16Array(1), new ArrayBuffer(1)])
	assert.throws(() => lane.put(map, 0, bytes), refused);
lane.keepFreed(false);
lane.trim();
console.log("lanes of 5 sizes, and what they refuse");
