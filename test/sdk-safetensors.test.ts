// Safetensors headers: right ones are read, hostile ones are refused with a code, the file and a byte.

import assert from "node:assert/strict";
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { OctavoError } from "../sdk/errors.js";
import { readSafetensorsHeader } from "../sdk/model/safetensors.js";
import { SeededRandom } from "../sdk/model/tasks/random.js";
import { encodeSafetensors, safetensorsBytes, tinyWeights } from "./helpers/checkpoint.js";
import { temporaryFolder } from "./helpers/temporary-folder.js";

const f32 = (shape: number[], begin: number, end: number) => ({ dtype: "F32", shape, data_offsets: [begin, end] });

test("reads names, shapes and places", async (t) => {
	const path = join(await temporaryFolder(t), "model.safetensors");
	const a = { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
	const b = { shape: [2], data: Float32Array.of(7, 8) };
	const bytes = encodeSafetensors({ b, a });
	await writeFile(path, bytes);
	const { tensors, metadata } = await readSafetensorsHeader(path);
	assert.deepEqual(metadata, { format: "pt" });
	assert.deepEqual(
		tensors.map(({ name, dtype, shape, sizeBytes }) => [name, dtype, shape, sizeBytes]),
		[
			["b", "F32", [2], 8],
			["a", "F32", [2, 3], 24],
		],
	);
	assert.equal(bytes.readFloatLE(tensors[0]!.offsetBytes), 7);
	assert.equal(bytes.readFloatLE(tensors[1]!.offsetBytes + 20), 6);
});

const data = Buffer.alloc(16);
const hostile: Record<string, [Buffer, RegExp]> = {
	"an empty file": [Buffer.alloc(0), /byte 0: Expected an 8-byte header length/],
	"a header longer than the file": [Buffer.from([99, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d]), /received a length of 99/],
	"a length near 2^64": [Buffer.alloc(24, 255), /received a length of 18446744073709551615/],
	"a header that is no JSON": [safetensorsBytes(0, data, "{nonsense}"), /byte 8: Expected a JSON header/],
	"a header that is no UTF-8": [safetensorsBytes(0, data, ""), /a length of 0/],
	"a header that is a list": [safetensorsBytes([], data), /Expected a JSON object/],
	"an entry that is no object": [safetensorsBytes({ a: 1 }, data), /"a": Expected an object/],
	"an unknown dtype": [safetensorsBytes({ a: { ...f32([4], 0, 16), dtype: "F31" } }, data), /"a": Expected a dtype/],
	"a dtype named like an Object method": [
		safetensorsBytes({ a: { ...f32([4], 0, 16), dtype: "toString" } }, data),
		/"a": Expected a dtype/,
	],
	"a negative size": [safetensorsBytes({ a: f32([-4], 0, 16) }, data), /Expected a shape/],
	"a fractional size": [safetensorsBytes({ a: f32([1.5], 0, 6) }, data), /Expected a shape/],
	"sizes whose product overflows": [
		safetensorsBytes({ a: f32([2 ** 40, 2 ** 40], 0, 16) }, data),
		/Expected \d.* bytes/,
	],
	"bytes that do not fit the shape": [
		safetensorsBytes({ a: f32([3], 0, 16) }, data),
		/Expected 12 bytes .* received 16/,
	],
	"a range beyond the file": [safetensorsBytes({ a: f32([5], 0, 20) }, data), /within the 16 bytes/],
	"a range backwards": [safetensorsBytes({ a: f32([4], 16, 0) }, data), /within the 16 bytes/],
	"ranges that overlap": [safetensorsBytes({ a: f32([3], 0, 12), b: f32([2], 8, 16) }, data), /do not overlap/],
	"a hole": [safetensorsBytes({ a: f32([1], 0, 4), b: f32([2], 8, 16) }, data), /no hole/],
	"bytes after the last tensor": [safetensorsBytes({ a: f32([3], 0, 12) }, data), /received 4 bytes more/],
	"a name twice": [
		safetensorsBytes(
			0,
			data,
			'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"\\u0061":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}',
		),
		/"a" twice/,
	],
	"a field twice": [
		safetensorsBytes(0, data, '{"a":{"dtype":"F32","shape":[9],"shape":[4],"data_offsets":[0,16]}}'),
		/"shape" twice/,
	],
	"metadata that holds no strings": [safetensorsBytes({ __metadata__: { a: 1 }, b: f32([4], 0, 16) }, data), /strings/],
};

for (const [name, [bytes, message]] of Object.entries(hostile)) {
	test(`refuses ${name}`, async (t) => {
		const path = join(await temporaryFolder(t), "hostile.safetensors");
		await writeFile(path, bytes);
		await assert.rejects(readSafetensorsHeader(path), (error: OctavoError) => {
			assert.equal(error.code, "ERR_OCTAVO_MODEL_FILE");
			assert.match(error.message, message);
			assert.ok(error.message.includes(path), "names the file");
			return true;
		});
	});
}

test("refuses a folder and a missing file", async (t) => {
	const folder = await temporaryFolder(t);
	for (const path of [folder, join(folder, "none")]) {
		await assert.rejects(readSafetensorsHeader(path), { code: "ERR_OCTAVO_MODEL_FILE" });
	}
});

test("refuses a huge header without reading it", async (t) => {
	const path = join(await temporaryFolder(t), "huge.safetensors");
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(200_000_000n);
	await writeFile(path, length);
	await truncate(path, 300_000_000);
	await assert.rejects(readSafetensorsHeader(path), /2 to 100000000 bytes/);
});

test("every truncation of a file is refused", async (t) => {
	const folder = await temporaryFolder(t);
	const bytes = encodeSafetensors(tinyWeights());
	for (let cut = 0; cut < bytes.length; cut += 61) {
		const path = join(folder, "cut.safetensors");
		await writeFile(path, bytes.subarray(0, cut));
		await assert.rejects(readSafetensorsHeader(path), { code: "ERR_OCTAVO_MODEL_FILE" }, `cut at ${cut}`);
	}
});

test("random mutations end in an error with a code, or in tensors that lie in the file", async (t) => {
	const path = join(await temporaryFolder(t), "mutant.safetensors");
	const original = encodeSafetensors(tinyWeights());
	const headerEnd = 8 + Number(original.readBigUInt64LE());
	const random = new SeededRandom(20);
	let numRefused = 0;
	for (let round = 0; round < 300; round++) {
		const bytes = Buffer.from(original);
		for (let i = random.integer(1, 4); i > 0; i--) bytes[random.integer(0, headerEnd)] = random.integer(0, 256);
		await writeFile(path, bytes);
		try {
			const { tensors } = await readSafetensorsHeader(path);
			let end = headerEnd;
			for (const { shape, dtype, offsetBytes, sizeBytes } of tensors) {
				assert.ok(offsetBytes >= end && offsetBytes + sizeBytes <= bytes.length);
				if (dtype === "F32")
					assert.equal(
						shape.reduce((a, b) => a * b, 4),
						sizeBytes,
					);
				end = offsetBytes + sizeBytes;
			}
		} catch (error) {
			assert.ok(error instanceof OctavoError, `round ${round}: ${error}`);
			assert.equal(error.code, "ERR_OCTAVO_MODEL_FILE");
			numRefused++;
		}
	}
	// A letter changed inside a name is legal here; nearly everything else is not.
	assert.ok(numRefused > 200, `only ${numRefused} of 300 were refused`);
});
