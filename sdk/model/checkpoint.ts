// A model folder in Hugging Face layout: config.json, safetensors weights (one file, or shards with an index), and
// optionally generation_config.json and a tokenizer. Reads headers only; weights are mapped by the engine.

import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { WeightSource } from "../../native/addon.js";
import { OctavoError, received } from "../errors.js";
import { type ModelConfig, parseConfig } from "./config.js";
import { readJson, readOptionalJson } from "./json-file.js";
import { readTokenizer } from "./read-tokenizer.js";
import { readSafetensorsHeader } from "./safetensors.js";
import type { Tokenizer } from "./tokenizer.js";

/** A model's folder, read and checked. */
export interface Checkpoint {
	/** Last part of the folder's path. */
	name: string;
	/** Absolute path. */
	folder: string;
	config: ModelConfig;
	weights: WeightSource[];
	/** Absent where the folder has neither tokenizer.json nor vocabulary.json. */
	tokenizer?: Tokenizer;
}

/** Folder of a model that comes with the package; seen from dist/sdk/model. */
export function presetFolder(name: string): string {
	return fileURLToPath(new URL(`../../../sdk/model/presets/${name}`, import.meta.url));
}

async function readWeights(folder: string): Promise<WeightSource[]> {
	const indexPath = join(folder, "model.safetensors.index.json");
	const index = await readOptionalJson(indexPath, "ERR_OCTAVO_MODEL_FILE");
	if (index === undefined) return (await readSafetensorsHeader(join(folder, "model.safetensors"))).tensors;
	const map = (index as { weight_map?: unknown } | null)?.weight_map;
	if (typeof map !== "object" || map === null) {
		throw new OctavoError(
			"ERR_OCTAVO_MODEL_FILE",
			`Expected an object weight_map in ${indexPath} but received ${received(map)}`,
		);
	}
	const placed = new Map(Object.entries(map as Record<string, unknown>));
	for (const file of placed.values()) {
		// A shard lies beside its index; a path that leads elsewhere is an attack or a mistake.
		if (typeof file === "string" && file === basename(file) && file.endsWith(".safetensors")) continue;
		throw new OctavoError(
			"ERR_OCTAVO_MODEL_FILE",
			`Expected names of safetensors files in weight_map of ${indexPath} but received ${received(file)}`,
		);
	}
	const weights: WeightSource[] = [];
	for (const file of [...new Set(placed.values())].sort() as string[]) {
		const { tensors } = await readSafetensorsHeader(join(folder, file));
		weights.push(...tensors.filter(({ name }) => placed.get(name) === file));
	}
	const found = new Set(weights.map(({ name }) => name));
	for (const [name, file] of placed) {
		if (found.has(name)) continue;
		throw new OctavoError(
			"ERR_OCTAVO_MODEL_FILE",
			`Expected ${name} in ${join(folder, file as string)}, where the index puts it, but it is not there`,
		);
	}
	return weights;
}

/**
 * Reads a model folder.
 *
 * @throws {OctavoError} ERR_OCTAVO_MODEL_CONFIG, ERR_OCTAVO_MODEL_FILE or ERR_OCTAVO_TOKENIZER naming file and field
 */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
	const folder = resolve(path);
	if (!(await stat(folder).catch(() => undefined))?.isDirectory()) {
		const hint = /^[\w.-]+\/[\w.-]+$/.test(path) ? `; loadModel("hf:${path}") downloads it from a hub` : "";
		throw new OctavoError(
			"ERR_OCTAVO_MODEL_FILE",
			`Expected a folder with a model at ${folder} but there is none${hint}`,
		);
	}
	const configJson = await readJson(join(folder, "config.json"), "ERR_OCTAVO_MODEL_CONFIG");
	const generation = await readOptionalJson(join(folder, "generation_config.json"), "ERR_OCTAVO_MODEL_CONFIG");
	const config = parseConfig(configJson, generation);
	const tokenizer = await readTokenizer(folder, config.vocabSize);
	const weights = await readWeights(folder);
	return { name: basename(folder), folder, config, weights, ...(tokenizer && { tokenizer }) };
}
