// What a GGUF file says of a Llama model, put as config.json says it, so that one set of checks serves both.

import { OctavoError, received } from "../errors.js";
import { type ModelConfig, parseConfig } from "./config.js";

/** Metadata of a file: numbers (64-bit ones as bigint), texts, truths and arrays by name. */
export type GgufMetadata = Readonly<Record<string, unknown>>;

/** What the tensors say. */
export interface GgufShape {
	vocabSize: number;
	/** The file has a head of its own. */
	hasHead: boolean;
	/** What each RoPE frequency is divided by, where the file has such factors: Llama 3 scaling, already computed. */
	frequencyFactors?: Float32Array;
}

function fail(field: string, expected: string, value: unknown): never {
	throw new OctavoError("ERR_OCTAVO_MODEL_CONFIG", `Expected ${expected} for ${field} but received ${received(value)}`);
}

// Converters write the factors and not the numbers that they were made of. These are those of every Llama 3 model; the
// length that it was first trained on is Meta's, or what a frequency between the two limits says.
const [low, high, usualLength] = [1, 4, 8192];

function findScaling(factors: Float32Array, headDim: number, theta: number): Record<string, unknown> {
	const factor = factors.reduce((a, b) => Math.max(a, b), 0);
	const turnsPerToken = Array.from(factors, (_, i) => theta ** ((-2 * i) / headDim) / (2 * Math.PI));
	const isMadeOf = (length: number) =>
		Array.from(factors).every((given, i) => {
			const kept = Math.min(1, Math.max(0, (length * turnsPerToken[i]! - low) / (high - low)));
			const expected = 1 / (kept + (1 - kept) / factor);
			return Math.abs(given - expected) < 1e-3 * expected;
		});
	const between = factors.findIndex((given) => given > 1 && given < factor);
	const kept = (1 / factors[between]! - 1 / factor) / (1 - 1 / factor);
	const told = between < 0 ? [] : [Math.round((low + kept * (high - low)) / turnsPerToken[between]!)];
	const length = [usualLength, ...told].find((each) => each > 0 && isMadeOf(each));
	if (factors.length === headDim / 2 && length !== undefined) {
		const limits = { low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: length };
		return { rope_type: "llama3", factor, ...limits };
	}
	const expected = `${headDim / 2} factors of Llama 3 scaling (frequency limits ${low} and ${high})`;
	return fail("rope_freqs.weight", expected, Array.from(factors.slice(0, 8)).join(", "));
}

/**
 * Reads a file's metadata.
 *
 * @throws {OctavoError} ERR_OCTAVO_MODEL_CONFIG naming the field
 */
export function parseGgufConfig(metadata: GgufMetadata, shape: GgufShape): ModelConfig {
	const read = (name: string) => {
		const value = metadata[name];
		return typeof value === "bigint" ? Number(value) : value;
	};
	const architecture = read("general.architecture");
	if (architecture !== "llama") fail("general.architecture", '"llama"', architecture);
	for (const name of ["expert_count", "attention.sliding_window"]) {
		const value = read(`llama.${name}`);
		if (value !== undefined && value !== 0) fail(`llama.${name}`, "none", value);
	}
	const scaling = read("llama.rope.scaling.type");
	if (scaling !== undefined && scaling !== "none") fail("llama.rope.scaling.type", '"none"', scaling);
	const hiddenSize = read("llama.embedding_length");
	const numHeads = read("llama.attention.head_count");
	const headDim = read("llama.attention.key_length") ?? Number(hiddenSize) / Number(numHeads);
	for (const name of ["llama.rope.dimension_count", "llama.attention.value_length"]) {
		const value = read(name) ?? headDim;
		if (value !== headDim) fail(name, `the size of a head (${headDim})`, value);
	}
	const theta = read("llama.rope.freq_base") ?? 10_000;
	const factors = shape.frequencyFactors;
	return parseConfig({
		architectures: ["LlamaForCausalLM"],
		hidden_size: hiddenSize,
		intermediate_size: read("llama.feed_forward_length"),
		num_hidden_layers: read("llama.block_count"),
		num_attention_heads: numHeads,
		num_key_value_heads: read("llama.attention.head_count_kv") ?? numHeads,
		head_dim: headDim,
		vocab_size: shape.vocabSize,
		max_position_embeddings: read("llama.context_length"),
		rms_norm_eps: read("llama.attention.layer_norm_rms_epsilon"),
		rope_theta: theta,
		rope_scaling: factors ? findScaling(factors, Number(headDim), Number(theta)) : null,
		tie_word_embeddings: !shape.hasHead,
		bos_token_id: read("tokenizer.ggml.bos_token_id") ?? [],
		eos_token_id: read("tokenizer.ggml.eos_token_id") ?? [],
	});
}
