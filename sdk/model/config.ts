// A model folder's config.json and generation_config.json, checked field by field. A setting that would change the
// numbers and that the engine does not have (a bias, another activation, another RoPE scaling) is refused, never ignored.

import type { LlamaSpec, RopeScalingSpec, SamplingSpec } from "../../native/addon.js";
import { OctavoError, received } from "../errors.js";

/** What a model folder says about a model. */
export interface ModelConfig extends LlamaSpec {
	/** Token that begins every sequence, if the model has one. */
	bosToken?: number;
	/** Tokens that end a sequence. */
	endTokens: number[];
	/** How the model's makers sample from it. Absent: greedy. */
	sampling?: SamplingSpec;
}

type Json = Record<string, unknown>;

function fail(field: string, expected: string, value: unknown): never {
	throw new OctavoError(
		"ERR_OCTAVO_MODEL_CONFIG",
		`Expected ${expected} for ${field} in config.json but received ${received(value)}`,
	);
}

function count(json: Json, field: string, fallback?: number, max = 2 ** 31 - 1): number {
	const value = json[field] ?? fallback;
	if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > max) {
		fail(field, `a whole number from 1 to ${max}`, value);
	}
	return value as number;
}

function positive(json: Json, field: string, fallback?: number, label = field): number {
	const value = json[field] ?? fallback;
	if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) fail(label, "a positive number", value);
	return value;
}

function flag(json: Json, field: string, fallback: boolean): boolean {
	const value = json[field] ?? fallback;
	if (typeof value !== "boolean") fail(field, "true or false", value);
	return value;
}

function tokens(json: Json, field: string, vocabSize: number): number[] {
	const value = json[field] ?? [];
	const list: unknown[] = Array.isArray(value) ? value : [value];
	for (const token of list) {
		if (!Number.isInteger(token) || (token as number) < 0 || (token as number) >= vocabSize) {
			fail(field, `token ids from 0 to ${vocabSize - 1}`, token);
		}
	}
	return list as number[];
}

function ropeScaling(value: unknown, field: string): RopeScalingSpec | undefined {
	if (value === undefined || value === null) return undefined;
	if (typeof value !== "object") fail(field, "an object", value);
	const json = value as Json;
	const kind = json.rope_type ?? json.type ?? "default";
	if (kind === "default") return undefined;
	if (kind !== "llama3") fail(`${field}.rope_type`, '"llama3" or none', kind);
	const read = (name: string) => positive(json, name, undefined, `${field}.${name}`);
	const scaling = {
		factor: read("factor"),
		lowFreqFactor: read("low_freq_factor"),
		highFreqFactor: read("high_freq_factor"),
		originalMaxPositions: read("original_max_position_embeddings"),
	};
	if (scaling.highFreqFactor <= scaling.lowFreqFactor) {
		fail(`${field}.high_freq_factor`, `more than low_freq_factor (${scaling.lowFreqFactor})`, scaling.highFreqFactor);
	}
	return scaling;
}

// What generation_config.json leaves out has the values that the transformers library gives it.
function sampling(json: Json): SamplingSpec | undefined {
	if (!flag(json, "do_sample", false)) return undefined;
	const read = (field: string, min: number, max: number, fallback: number) => {
		const value = json[field] ?? fallback;
		if (typeof value !== "number" || !(value >= min && value <= max))
			fail(field, `a number from ${min} to ${max}`, value);
		return value;
	};
	const topK = read("top_k", 0, 2 ** 31 - 1, 50);
	if (!Number.isInteger(topK)) fail("top_k", "a whole number", topK);
	return { temperature: read("temperature", 0, 1e6, 1), topK, topP: read("top_p", Number.MIN_VALUE, 1, 1) };
}

function checkSupported(json: Json): void {
	const { architectures, model_type: type, hidden_act: activation } = json;
	const named = Array.isArray(architectures) ? architectures : [];
	if (!named.includes("LlamaForCausalLM") && !(named.length === 0 && type === "llama")) {
		fail("architectures", '["LlamaForCausalLM"]', named[0] ?? architectures);
	}
	if (activation !== undefined && activation !== "silu") fail("hidden_act", '"silu"', activation);
	for (const field of ["attention_bias", "mlp_bias"]) {
		if (flag(json, field, false)) fail(field, "false (biases are not supported)", true);
	}
	if (json.quantization_config != null) {
		fail("quantization_config", "none (weights in F32, BF16 or F16)", json.quantization_config);
	}
	const parallel = json.pretraining_tp;
	if (parallel !== undefined && parallel !== 1) fail("pretraining_tp", "1", parallel);
}

/**
 * Reads the contents of config.json, and of generation_config.json where a folder has one.
 *
 * @throws {OctavoError} ERR_OCTAVO_MODEL_CONFIG naming the field
 */
export function parseConfig(config: unknown, generation: unknown = {}): ModelConfig {
	if (typeof config !== "object" || config === null || Array.isArray(config)) {
		throw new OctavoError(
			"ERR_OCTAVO_MODEL_CONFIG",
			`Expected a JSON object in config.json but received ${received(config)}`,
		);
	}
	const json = config as Json;
	checkSupported(json);
	const numQueryHeads = count(json, "num_attention_heads", undefined, 4096);
	const numKvHeads = count(json, "num_key_value_heads", numQueryHeads, 4096);
	if (numQueryHeads % numKvHeads !== 0) {
		fail("num_key_value_heads", `a divisor of num_attention_heads (${numQueryHeads})`, numKvHeads);
	}
	const hiddenSize = count(json, "hidden_size", undefined, 2 ** 20);
	if (json.head_dim == null && hiddenSize % numQueryHeads !== 0) {
		fail("hidden_size", `a multiple of num_attention_heads (${numQueryHeads}), or head_dim beside it,`, hiddenSize);
	}
	const headDim = count(json, "head_dim", hiddenSize / numQueryHeads, 2 ** 14);
	if (headDim % 2 !== 0) fail("head_dim", "an even number (RoPE rotates halves)", headDim);
	const vocabSize = count(json, "vocab_size", undefined, 2 ** 24);
	// Since version 5 of the transformers library both live in rope_parameters.
	const ropeField = json.rope_parameters == null ? "rope_scaling" : "rope_parameters";
	const rope = json[ropeField];
	const scaling = ropeScaling(rope, ropeField);
	const nestedTheta = typeof rope === "object" && rope !== null ? (rope as Json).rope_theta : undefined;
	const generationFields = (typeof generation === "object" && generation !== null ? generation : {}) as Json;
	const both = { ...json, ...generationFields };
	const [bosToken] = tokens(both, "bos_token_id", vocabSize);
	const sampled = sampling(generationFields);
	return {
		numLayers: count(json, "num_hidden_layers", undefined, 4096),
		hiddenSize,
		intermediateSize: count(json, "intermediate_size", undefined, 2 ** 22),
		numQueryHeads,
		numKvHeads,
		headDim,
		vocabSize,
		maxPositions: count(json, "max_position_embeddings"),
		rmsNormEps: positive(json, "rms_norm_eps", 1e-6),
		ropeTheta: positive({ rope_theta: nestedTheta ?? json.rope_theta }, "rope_theta", 10_000),
		...(scaling && { ropeScaling: scaling }),
		tieWordEmbeddings: flag(json, "tie_word_embeddings", false),
		...(bosToken !== undefined && { bosToken }),
		endTokens: tokens(both, "eos_token_id", vocabSize),
		...(sampled && { sampling: sampled }),
	};
}

/** config.json of a model, as `parseConfig` reads it. */
export function configJson(config: ModelConfig, dtype: string): Json {
	const { ropeScaling } = config;
	return {
		architectures: ["LlamaForCausalLM"],
		model_type: "llama",
		hidden_size: config.hiddenSize,
		intermediate_size: config.intermediateSize,
		num_hidden_layers: config.numLayers,
		num_attention_heads: config.numQueryHeads,
		num_key_value_heads: config.numKvHeads,
		head_dim: config.headDim,
		vocab_size: config.vocabSize,
		max_position_embeddings: config.maxPositions,
		rms_norm_eps: config.rmsNormEps,
		rope_theta: config.ropeTheta,
		rope_scaling: ropeScaling
			? {
					rope_type: "llama3",
					factor: ropeScaling.factor,
					low_freq_factor: ropeScaling.lowFreqFactor,
					high_freq_factor: ropeScaling.highFreqFactor,
					original_max_position_embeddings: ropeScaling.originalMaxPositions,
				}
			: null,
		hidden_act: "silu",
		attention_bias: false,
		mlp_bias: false,
		tie_word_embeddings: config.tieWordEmbeddings,
		torch_dtype: dtype,
		...(config.bosToken !== undefined && { bos_token_id: config.bosToken }),
		eos_token_id: config.endTokens,
	};
}

/** generation_config.json of a model. */
export function generationJson({ bosToken, endTokens, sampling }: ModelConfig): Json {
	return {
		...(bosToken !== undefined && { bos_token_id: bosToken }),
		eos_token_id: endTokens,
		do_sample: sampling !== undefined,
		...(sampling && { temperature: sampling.temperature, top_k: sampling.topK, top_p: sampling.topP }),
	};
}
