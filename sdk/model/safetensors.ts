// Reads the header of a safetensors file as if its author were hostile: every length is checked before it is used, and
// tensors must cover the data exactly, as the format asks. The data itself is mapped natively, never read here.

import { type FileHandle, open } from "node:fs/promises";
import type { WeightSource } from "../../native/addon.js";
import { OctavoError } from "../errors.js";

/** Header of one file. */
export interface SafetensorsHeader {
	/** Tensors in order of their place in the file. */
	tensors: WeightSource[];
	/** The file's own notes. */
	metadata: Record<string, string>;
}

// The reference implementation's bound: a header is names and shapes, and no real one comes near.
const maxHeaderBytes = 100_000_000;
const lengthBytes = 8;
// Dtypes of the format with their width, so that a shape can be checked even where the engine cannot run the dtype.
const widths: Record<string, number> = {
	...{ F64: 8, F32: 4, F16: 2, BF16: 2, F8_E4M3: 1, F8_E5M2: 1 },
	...{ I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1 },
};

function fail(path: string, byte: number, message: string): never {
	throw new OctavoError("ERR_OCTAVO_MODEL_FILE", `${path}, byte ${byte}: ${message}`);
}

/**
 * Reads and checks a header.
 *
 * @throws {OctavoError} ERR_OCTAVO_MODEL_FILE naming file and byte: cannot be read, header length or JSON out of bounds,
 * duplicate names, unknown dtype, bytes that do not fit shape and dtype, ranges that overlap, leave holes or leave the file
 * Source: the safetensors format (8-byte little-endian length, JSON header, data).
 */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
	let file: FileHandle;
	try {
		file = await open(path, "r");
	} catch (error) {
		throw new OctavoError(
			"ERR_OCTAVO_MODEL_FILE",
			`Expected a safetensors file at ${path} but received: ${(error as Error).message}`,
			{ cause: error },
		);
	}
	try {
		const status = await file.stat();
		if (!status.isFile()) fail(path, 0, "Expected a regular file");
		return parseHeader(path, status.size, await readHeaderBytes(file, path, status.size));
	} finally {
		await file.close();
	}
}

async function readHeaderBytes(file: FileHandle, path: string, fileBytes: number): Promise<Buffer> {
	if (fileBytes < lengthBytes)
		fail(path, 0, `Expected an 8-byte header length but received a file of ${fileBytes} bytes`);
	const read = async (position: number, length: number) => {
		const bytes = Buffer.alloc(length);
		let done = 0;
		while (done < length) {
			const { bytesRead } = await file.read(bytes, done, length - done, position + done);
			if (bytesRead === 0) fail(path, position + done, `Expected ${length - done} more bytes but the file ended`);
			done += bytesRead;
		}
		return bytes;
	};
	const headerBytes = (await read(0, lengthBytes)).readBigUInt64LE();
	const room = Math.min(fileBytes - lengthBytes, maxHeaderBytes);
	if (headerBytes < 2n || headerBytes > BigInt(room)) {
		fail(path, 0, `Expected a header of 2 to ${room} bytes but received a length of ${headerBytes}`);
	}
	return read(lengthBytes, Number(headerBytes));
}

function parseHeader(path: string, fileBytes: number, bytes: Buffer): SafetensorsHeader {
	let header: unknown;
	let text: string;
	try {
		text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
		header = JSON.parse(text);
	} catch (error) {
		return fail(path, lengthBytes, `Expected a JSON header but received: ${(error as Error).message}`);
	}
	if (!isObject(header)) return fail(path, lengthBytes, "Expected a JSON object as header");
	const duplicate = findDuplicateKey(text);
	if (duplicate !== undefined)
		fail(path, lengthBytes, `Expected each name once but received ${JSON.stringify(duplicate)} twice`);
	const metadata = parseMetadata(path, header.__metadata__);
	const dataStart = lengthBytes + bytes.length;
	const tensors = Object.entries(header)
		.filter(([name]) => name !== "__metadata__")
		.map(([name, entry]) => parseTensor(path, name, entry, dataStart, fileBytes));
	tensors.sort((a, b) => a.offsetBytes - b.offsetBytes || a.sizeBytes - b.sizeBytes);
	let end = dataStart;
	for (const { name, offsetBytes, sizeBytes } of tensors) {
		if (offsetBytes < end)
			fail(path, offsetBytes, `Expected tensors that do not overlap but ${name} begins before byte ${end}`);
		if (offsetBytes > end) fail(path, end, `Expected no hole but ${name} begins at byte ${offsetBytes}`);
		end = offsetBytes + sizeBytes;
	}
	if (end !== fileBytes)
		fail(path, end, `Expected the file to end with its last tensor but received ${fileBytes - end} bytes more`);
	return { tensors, metadata };
}

function parseTensor(path: string, name: string, entry: unknown, dataStart: number, fileBytes: number): WeightSource {
	const at = (message: string) => fail(path, lengthBytes, `${JSON.stringify(name)}: ${message}`);
	if (!isObject(entry)) return at("Expected an object with dtype, shape and data_offsets");
	const { dtype, shape, data_offsets: offsets } = entry;
	const width = typeof dtype === "string" && Object.hasOwn(widths, dtype) ? widths[dtype]! : 0;
	if (width === 0) at(`Expected a dtype of the format but received ${JSON.stringify(dtype)}`);
	if (!isCounts(shape) || shape.length > 8) return at("Expected a shape of at most 8 whole numbers");
	if (!isCounts(offsets) || offsets.length !== 2) return at("Expected data_offsets of two whole numbers");
	const [begin, end] = offsets as [number, number];
	if (end < begin || dataStart + end > fileBytes) {
		at(`Expected data_offsets within the ${fileBytes - dataStart} bytes of data but received ${begin} to ${end}`);
	}
	const sizeBytes = shape.reduce((product, size) => product * size, width);
	if (sizeBytes !== end - begin) {
		at(`Expected ${sizeBytes} bytes for shape [${shape.join(", ")}] of ${dtype} but received ${end - begin}`);
	}
	// Integers and 8-bit floats are legal in the format; a weight of ours is one of three dtypes, which the engine checks.
	return { name, dtype: dtype as WeightSource["dtype"], shape, path, offsetBytes: dataStart + begin, sizeBytes };
}

function parseMetadata(path: string, metadata: unknown): Record<string, string> {
	if (metadata === undefined) return {};
	if (isObject(metadata) && Object.values(metadata).every((value) => typeof value === "string")) {
		return metadata as Record<string, string>;
	}
	return fail(path, lengthBytes, "Expected __metadata__ to hold strings");
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
	return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

// JSON.parse lets the last of two equal names win, so that two readers may see two files in one. The text is valid JSON
// here, so strings and brackets are all there is to follow.
function findDuplicateKey(text: string): string | undefined {
	const seen: (Set<string> | undefined)[] = [];
	for (const match of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|[{}[\]]/g)) {
		const [token, quoted, colon] = match;
		if (quoted === undefined) {
			if (token === "{") seen.push(new Set());
			else if (token === "[") seen.push(undefined);
			else seen.pop();
		} else if (colon !== undefined) {
			const key = JSON.parse(quoted) as string;
			const names = seen.at(-1)!;
			if (names.has(key)) return key;
			names.add(key);
		}
	}
	return undefined;
}
