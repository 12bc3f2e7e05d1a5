// Writes a model folder in Hugging Face layout. Each file is written under another name and then renamed: a model may be
// saved over the folder it was opened from, whose files are mapped into memory and must not be cut short.

import { copyFile, open, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { NativeTensor } from "../../native/addon.js";
import { OctavoError, received } from "../errors.js";
import { makeFolder } from "../make-folder.js";
import { checkOptions, integer } from "../options.js";
import { configJson, generationJson, type ModelConfig } from "./config.js";
import { tokenizerFiles } from "./read-tokenizer.js";

/** How a model is written. */
export interface SaveOptions {
	/** Bytes of weights in one file at most, from 1; a larger weight has a file of its own. Default 5e9. */
	shardSizeBytes?: number;
}

/** One weight to write. */
export interface NamedWeight {
	name: string;
	tensor: NativeTensor;
}

/** What is written. */
export interface CheckpointContents {
	config: ModelConfig;
	weights: readonly NamedWeight[];
	/** Throws when weights that were read may not be the model's; called before a file of them takes its place. */
	requireUnchanged(): void;
	/** Folder whose tokenizer files are copied, if there is one. */
	tokenizerFolder?: string | undefined;
}

const dtypeNames = { f32: "F32", bf16: "BF16", f16: "F16", i32: "I32" };
const torchNames = { f32: "float32", bf16: "bfloat16", f16: "float16", i32: "int32" };
// A single write takes less than 2^31 bytes.
const writeBytes = 2 ** 28;

/**
 * Writes config.json, generation_config.json, the weights and the tokenizer's files, replacing those that are there.
 *
 * @param folder made if need be
 * @returns its absolute path
 * @throws {OctavoError} ERR_OCTAVO_MODEL_FILE naming the folder, when it cannot be written; and what `requireUnchanged` throws
 */
export async function writeCheckpoint(
	folder: string,
	{ config, weights, requireUnchanged, tokenizerFolder }: CheckpointContents,
	options: SaveOptions = {},
): Promise<string> {
	const { shardSizeBytes } = checkOptions("save()", options, {
		shardSizeBytes: integer(1, Number.MAX_SAFE_INTEGER, 5e9),
	});
	if (typeof folder !== "string" || folder === "") {
		const message = `Expected the path of a folder to write to but received ${received(folder)}`;
		throw new OctavoError("ERR_OCTAVO_MODEL_FILE", message);
	}
	const path = resolve(folder);
	try {
		await makeFolder(path);
		if (tokenizerFolder !== undefined && resolve(tokenizerFolder) !== path) await copyTokenizer(tokenizerFolder, path);
		await writeWeights(path, groupByFile(weights, shardSizeBytes), requireUnchanged);
		await replaceJson(join(path, "generation_config.json"), generationJson(config));
		const dtype = torchNames[weights[0]?.tensor.dtype ?? "f32"];
		await replaceJson(join(path, "config.json"), configJson(config, dtype));
		return path;
	} catch (error) {
		requireUnchanged(); // writing what is gone of a mapped file is a bad address to the system
		const message = `Expected a folder to write to at ${path} but received: ${(error as Error).message}`;
		throw new OctavoError("ERR_OCTAVO_MODEL_FILE", message, { cause: error });
	}
}

function groupByFile(weights: readonly NamedWeight[], shardSizeBytes: number): NamedWeight[][] {
	const groups: NamedWeight[][] = [[]];
	let sizeBytes = 0;
	for (const weight of weights) {
		const { byteLength } = weight.tensor.buffer;
		if (sizeBytes > 0 && sizeBytes + byteLength > shardSizeBytes) {
			groups.push([]);
			sizeBytes = 0;
		}
		groups.at(-1)!.push(weight);
		sizeBytes += byteLength;
	}
	return groups;
}

async function writeWeights(folder: string, groups: NamedWeight[][], requireUnchanged: () => void): Promise<void> {
	const indexPath = join(folder, "model.safetensors.index.json");
	if (groups.length === 1) {
		await replaceSafetensors(join(folder, "model.safetensors"), groups[0]!, requireUnchanged);
		// One of an earlier, sharded model would be read instead.
		await rm(indexPath, { force: true });
		return;
	}
	const digits = (n: number) => String(n).padStart(5, "0");
	const map: [string, string][] = [];
	let totalBytes = 0;
	for (const [i, group] of groups.entries()) {
		const file = `model-${digits(i + 1)}-of-${digits(groups.length)}.safetensors`;
		await replaceSafetensors(join(folder, file), group, requireUnchanged);
		for (const { name, tensor } of group) {
			map.push([name, file]);
			totalBytes += tensor.buffer.byteLength;
		}
	}
	await replaceJson(indexPath, { metadata: { total_size: totalBytes }, weight_map: Object.fromEntries(map) });
}

function safetensorsHeader(weights: readonly NamedWeight[]): Buffer {
	const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
	let at = 0;
	for (const { name, tensor } of weights) {
		const end = at + tensor.buffer.byteLength;
		header[name] = { dtype: dtypeNames[tensor.dtype], shape: tensor.shape, data_offsets: [at, end] };
		at = end;
	}
	const json = Buffer.from(JSON.stringify(header));
	// Spaces up to a multiple of 8 bytes, so that weights can be used in place when the file is mapped.
	const bytes = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, " ");
	bytes.writeBigUInt64LE(BigInt(bytes.length - 8));
	json.copy(bytes, 8);
	return bytes;
}

/** Writes beside `path` and renames; leaves nothing behind when that fails. */
async function replace(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
	const temporary = `${path}.${process.pid}.incomplete`;
	try {
		await write(temporary);
		await rename(temporary, path);
	} catch (error) {
		await rm(temporary, { force: true });
		throw error;
	}
}

function replaceJson(path: string, value: unknown): Promise<void> {
	return replace(path, (temporary) => writeFile(temporary, `${JSON.stringify(value, undefined, "\t")}\n`));
}

function replaceSafetensors(
	path: string,
	weights: readonly NamedWeight[],
	requireUnchanged: () => void,
): Promise<void> {
	return replace(path, async (temporary) => {
		const file = await open(temporary, "w");
		try {
			await file.writeFile(safetensorsHeader(weights));
			for (const { tensor } of weights) {
				const bytes = new Uint8Array(tensor.buffer);
				for (let at = 0; at < bytes.length; at += writeBytes) {
					await file.writeFile(bytes.subarray(at, at + writeBytes));
				}
			}
			requireUnchanged();
		} finally {
			await file.close();
		}
	});
}

async function copyTokenizer(from: string, to: string): Promise<void> {
	for (const file of tokenizerFiles) {
		try {
			await replace(join(to, file), (temporary) => copyFile(join(from, file), temporary));
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
		}
	}
}
