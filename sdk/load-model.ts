// Opens models: where a folder, the native engine and sessions meet. Nothing below this file knows all three.

import { readFileSync } from "node:fs";
import type { LlamaSpec, NativeModel } from "../native/addon.js";
import { loadAddon } from "../native/load.js";
import { Batch } from "./decode/batch/batch.js";
import { type BatchOptions, checkBatch } from "./decode/batch/options.js";
import { checkSession, type SessionOptions } from "./decode/options.js";
import { Session } from "./decode/session.js";
import { describeEngine } from "./engine.js";
import { native, OctavoError, received } from "./errors.js";
import { presetFolder, readCheckpoint } from "./model/checkpoint.js";
import type { ModelConfig } from "./model/config.js";
import { type DownloadOptions, downloadModel } from "./model/download.js";
import { readGguf, reorderHeads } from "./model/gguf.js";
import type { Tokenizer } from "./model/tokenizer.js";
import { type SaveOptions, writeCheckpoint } from "./model/write-checkpoint.js";
import { checkOptions } from "./options.js";
import { Tensor } from "./tensor.js";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
	version: string;
};

interface ModelParts {
	name: string;
	config: ModelConfig;
	tokenizer?: Tokenizer;
	/** Where its files lie. */
	folder?: string;
}

/**
 * A model in memory: its shape, its weights, and the sessions it makes.
 *
 * @example
 * ```ts
 * import { loadModel } from "octavo";
 * const model = await loadModel();
 * console.log(model.config.numLayers, model.weight("model.embed_tokens.weight").shape);   // 4 [ 256, 128 ]
 * using session = model.session({ seed: 7 });
 * const step = await session.prefill("BOS f144 REC k20 k21 k22 f150 QRY k20");
 * console.log(step.numTokens, session.topTokens(1)[0]?.text);   // 9 k21
 * ```
 */
export class Model {
	/** Name of its folder or preset. */
	readonly name: string;
	/** Shape and settings. */
	readonly config: Readonly<ModelConfig>;
	/** Absent where the model has no vocabulary. */
	readonly tokenizer: Tokenizer | undefined;
	readonly #native: NativeModel;
	readonly #folder: string | undefined;

	/** Made by `loadModel` and `randomModel`. */
	constructor(model: NativeModel, { name, config, tokenizer, folder }: ModelParts) {
		this.name = name;
		this.config = Object.freeze(config);
		this.tokenizer = tokenizer;
		this.#native = model;
		this.#folder = folder;
	}

	/** Number of parameters. */
	get numParameters(): number {
		return native(() => this.#native.numParameters);
	}

	/** Bytes of all weights. */
	get sizeBytes(): number {
		return native(() => this.#native.sizeBytes);
	}

	/** Names of the weights, as in the file. */
	get weightNames(): string[] {
		return native(() => this.#native.weightNames());
	}

	/**
	 * One weight; no copy: what is written to it changes the model in memory, and never its file.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_MODEL_WEIGHTS for an unknown name
	 */
	weight(name: string): Tensor {
		return native(() => {
			const weight = this.#native.weight(name);
			const axes = name.includes("embed") || name.includes("lm_head") ? ["token", "feature"] : ["output", "input"];
			return Tensor.fromNative(weight, weight.shape.length === 2 ? axes : ["feature"]);
		});
	}

	/**
	 * Begins a sequence with a cache of its own.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_OPTION naming the option; ERR_OCTAVO_BUDGET for a budget that is no multiple of
	 * `blockSize` or less than three blocks; ERR_OCTAVO_MEMORY for a pool that does not fit
	 */
	session(options: SessionOptions = {}): Session {
		const spec = checkSession(options, this.config);
		const session = native(() => this.#native.createSession(spec));
		const { policy } = spec;
		const { name: policyName, ...policyOptions } = policy;
		const { numLayers, endTokens, sampling } = this.config;
		const { blockSize, numBlocks, seed } = spec;
		return new Session(session, {
			tokenizer: this.tokenizer,
			...{ endTokens, sampling, numLayers, policy },
			metadata: {
				...{ version, created: new Date().toISOString(), model: this.name },
				...{ policy: policyName, policyOptions, blockSize, numBlocks, numLayers, seed, engine: describeEngine() },
			},
		});
	}

	/**
	 * Begins a batch: many sequences over one pool of blocks a layer.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_OPTION naming the option; ERR_OCTAVO_BUDGET for a budget that does not fit the
	 * block size; ERR_OCTAVO_MEMORY for a pool that does not fit
	 */
	batch(options: BatchOptions = {}): Batch {
		const checked = checkBatch(options, this.config);
		const batch = native(() => this.#native.createBatch(checked.spec));
		const { endTokens, sampling, numLayers } = this.config;
		const { blockSize, numBlocks, maxSequences } = checked.spec;
		const metadata = { version, model: this.name, engine: describeEngine(), blockSize, numBlocks, maxSequences };
		return new Batch(batch, { tokenizer: this.tokenizer, endTokens, sampling, numLayers, metadata }, checked);
	}

	/**
	 * Writes the model as a folder that `loadModel` and other programs open: weights as they are in memory, bit by bit, in
	 * safetensors; configuration; the tokenizer's files where it was opened with some. It may be the folder it came from.
	 *
	 * @param folder made if need be
	 * @returns its absolute path
	 * @throws {OctavoError} ERR_OCTAVO_MODEL_FILE when it cannot be written, or the file that the model is mapped from
	 * changed; ERR_OCTAVO_OPTION naming the option
	 */
	async save(folder: string, options: SaveOptions = {}): Promise<string> {
		const weights = native(() =>
			this.#native.weightNames().map((name) => ({ name, tensor: this.#native.weight(name) })),
		);
		const check = native(() => this.#native.weightsCheck());
		const requireUnchanged = () => native(check);
		const { config } = this;
		return writeCheckpoint(folder, { config, weights, requireUnchanged, tokenizerFolder: this.#folder }, options);
	}

	/** Frees the weights once the last session and view is gone. Later calls throw ERR_OCTAVO_CLOSED. */
	close(): void {
		native(() => this.#native.dispose());
	}

	/** `close`, for `using`. */
	[Symbol.dispose](): void {
		this.close();
	}

	/** Shows name, shape and size. */
	[Symbol.for("Jupyter.display")](): Record<string, string> {
		const { numLayers, hiddenSize, numQueryHeads, numKvHeads, headDim, vocabSize } = this.config;
		const shape = `${numLayers} layers, hidden ${hiddenSize}, ${numQueryHeads} query and ${numKvHeads} KV heads of ${headDim}, vocabulary ${vocabSize}`;
		return { "text/plain": `Model ${this.name}: ${shape}, ${this.numParameters.toLocaleString("en-US")} parameters` };
	}
}

/**
 * Opens a model of the Llama architecture.
 *
 * @param from a folder in Hugging Face layout: config.json, model.safetensors or shards with an index, optionally
 * generation_config.json and a tokenizer (tokenizer.json, or vocabulary.json with names of tokens); a .gguf file with
 * weights that are not quantised; or `hf:organisation/name`, which is downloaded first. Default: recall-tiny, which comes with the package
 * @param options of the download
 * @throws {OctavoError} ERR_OCTAVO_MODEL_CONFIG, ERR_OCTAVO_MODEL_FILE, ERR_OCTAVO_MODEL_WEIGHTS, ERR_OCTAVO_TOKENIZER
 * naming what does not fit; ERR_OCTAVO_DOWNLOAD; ERR_OCTAVO_NATIVE when the engine has not been built
 */
export async function loadModel(
	from: string = presetFolder("recall-tiny"),
	options: DownloadOptions = {},
): Promise<Model> {
	if (typeof from !== "string" || from === "") {
		throw new OctavoError("ERR_OCTAVO_MODEL_FILE", `Expected a path of a model folder but received ${received(from)}`);
	}
	const repo = /^hf:(.*)$/.exec(from)?.[1];
	if (repo === undefined) checkOptions("loadModel() of a folder", options, {});
	const path = repo === undefined ? from : await downloadModel(repo, options);
	const isGguf = path.endsWith(".gguf");
	const { weights, ...parts } = await (isGguf ? readGguf(path) : readCheckpoint(path));
	const model = native(() => {
		const opened = loadAddon().openModel(shapeOf(parts.config), weights);
		if (isGguf) reorderHeads(opened, parts);
		return opened;
	});
	return new Model(model, repo === undefined ? parts : { ...parts, name: repo });
}

/**
 * Makes a model of a given shape with seeded random weights, for benchmarks and tests.
 *
 * @param seed from 0 to 2^53 - 1. Default 0
 * @throws {OctavoError} ERR_OCTAVO_MODEL_CONFIG for a shape that is none
 */
export function randomModel(shape: LlamaSpec, seed = 0): Model {
	const model = native(() => loadAddon().randomModel(shape, seed));
	return new Model(model, { name: "random", config: { ...shape, endTokens: [] } });
}

function shapeOf({ bosToken: _bos, endTokens: _end, sampling: _sampling, ...shape }: ModelConfig): LlamaSpec {
	return shape;
}
