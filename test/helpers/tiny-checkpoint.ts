// Writes small checkpoints in Hugging Face layout: every dtype, in one file or in shards, with and without tied embeddings
// and RoPE scaling. What is stored is known as float64 too, after rounding to the dtype.

import { writeFolder } from "./checkpoint.js";
import type { LlamaJson, Weight64 } from "./llama-float64.js";

/** Dtypes of the format that the engine takes. */
export type Dtype = "F32" | "F16" | "BF16";

/** A checkpoint as files and as numbers. */
export interface TinyCheckpoint {
	config: LlamaJson & Record<string, unknown>;
	weights: Map<string, Weight64>;
	/** By file name: JSON values, or bytes. */
	files: Record<string, unknown>;
}

/** What a checkpoint is like. */
export interface TinyOptions {
	dtype?: Dtype;
	numShards?: number;
	tied?: boolean;
	/** Llama 3 RoPE scaling, with wavelengths below, within and above its band. */
	scaled?: boolean;
	vocabSize?: number;
	seed?: number;
}

/** Llama 3 scaling whose three cases all occur in 8 frequencies of base 10,000. */
export const tinyScaling = {
	...{ rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 },
	original_max_position_embeddings: 64,
};

const scratch = new DataView(new ArrayBuffer(8));

function bf16Bits(value: number): number {
	scratch.setFloat32(0, value);
	const bits = scratch.getUint32(0);
	return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Bits of a half-precision number, rounded to the nearest, ties to even; for numbers within its range. */
export function f16Bits(value: number): number {
	const magnitude = Math.abs(value);
	const sign = value < 0 ? 0x8000 : 0;
	const exponent = magnitude === 0 ? -15 : Math.max(-15, Math.floor(Math.log2(magnitude)));
	const unit = 2 ** (Math.max(exponent, -14) - 10);
	const units = magnitude / unit;
	let whole = Math.floor(units);
	if (units - whole > 0.5 || (units - whole === 0.5 && whole % 2 === 1)) whole++;
	// Numbers below 2^-14 have no leading one; elsewhere it is added to the exponent, as is a carry.
	return sign | (whole + (exponent < -14 ? 0 : (exponent + 14) * 1024));
}

function f16Value(bits: number): number {
	const exponent = (bits >> 10) & 31;
	const fraction = bits & 1023;
	const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
	return bits & 0x8000 ? -magnitude : magnitude;
}

/** Bytes of numbers in a dtype, and the numbers those bytes stand for. */
export function encodeNumbers(values: readonly number[], dtype: Dtype): { bytes: Buffer; data: Float64Array } {
	const width = dtype === "F32" ? 4 : 2;
	const bytes = Buffer.alloc(values.length * width);
	const data = Float64Array.from(values, (value, i) => {
		if (dtype === "F32") {
			bytes.writeFloatLE(value, i * 4);
			return Math.fround(value);
		}
		const bits = dtype === "F16" ? f16Bits(value) : bf16Bits(value);
		bytes.writeUInt16LE(bits, i * 2);
		if (dtype === "F16") return f16Value(bits);
		scratch.setUint32(0, bits << 16);
		return scratch.getFloat32(0);
	});
	return { bytes, data };
}

/** A generator of uniform numbers in [0, 1), the same for a seed everywhere. */
export function uniform(seed: number): () => number {
	let state = (seed * 2654435761 + 12345) >>> 0;
	return () => {
		state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) >>> 0;
		return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
	};
}

interface Stored {
	name: string;
	shape: number[];
	bytes: Buffer;
}

function safetensors(tensors: readonly Stored[], dtype: Dtype): Buffer {
	const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
	let at = 0;
	for (const { name, shape, bytes } of tensors) {
		header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
		at += bytes.length;
	}
	const json = Buffer.from(JSON.stringify(header));
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(json.length));
	return Buffer.concat([length, json, ...tensors.map(({ bytes }) => bytes)]);
}

/** Makes a checkpoint of two layers; heads are wider than the hidden size asks for, as in some models. */
export function tinyCheckpoint(options: TinyOptions = {}): TinyCheckpoint {
	const { dtype = "F32", numShards = 1, tied = false, scaled = false, vocabSize = 300, seed = 1 } = options;
	const config = {
		...{ architectures: ["LlamaForCausalLM"], model_type: "llama", hidden_act: "silu" },
		...{ hidden_size: 24, intermediate_size: 40, num_hidden_layers: 2, vocab_size: vocabSize },
		...{ num_attention_heads: 4, num_key_value_heads: 2, head_dim: 16, max_position_embeddings: 512 },
		...{ rms_norm_eps: 1e-5, rope_theta: 10_000, rope_scaling: scaled ? tinyScaling : null },
		...{ tie_word_embeddings: tied, bos_token_id: 0, eos_token_id: 1 },
	};
	const random = uniform(seed);
	const weights = new Map<string, Weight64>();
	const stored: Stored[] = [];
	const put = (name: string, ...shape: number[]) => {
		const fanIn = shape[1] ?? 1;
		const centre = shape.length === 1 ? 1 : 0;
		const count = shape.reduce((a, b) => a * b, 1);
		const values = Array.from({ length: count }, () => centre + ((random() - 0.5) * 3) / Math.sqrt(fanIn));
		const { bytes, data } = encodeNumbers(values, dtype);
		weights.set(name, { shape, data });
		stored.push({ name, shape, bytes });
	};
	const { hidden_size: hidden, intermediate_size: inner } = config;
	put("model.embed_tokens.weight", vocabSize, hidden);
	for (let layer = 0; layer < config.num_hidden_layers; layer++) {
		const prefix = `model.layers.${layer}`;
		put(`${prefix}.input_layernorm.weight`, hidden);
		put(`${prefix}.self_attn.q_proj.weight`, 64, hidden);
		put(`${prefix}.self_attn.k_proj.weight`, 32, hidden);
		put(`${prefix}.self_attn.v_proj.weight`, 32, hidden);
		put(`${prefix}.self_attn.o_proj.weight`, hidden, 64);
		put(`${prefix}.post_attention_layernorm.weight`, hidden);
		put(`${prefix}.mlp.gate_proj.weight`, inner, hidden);
		put(`${prefix}.mlp.up_proj.weight`, inner, hidden);
		put(`${prefix}.mlp.down_proj.weight`, hidden, inner);
	}
	put("model.norm.weight", hidden);
	if (!tied) put("lm_head.weight", vocabSize, hidden);

	const files: Record<string, unknown> = { "config.json": config };
	if (numShards === 1) {
		files["model.safetensors"] = safetensors(stored, dtype);
	} else {
		const map: [string, string][] = [];
		for (let shard = 0; shard < numShards; shard++) {
			const file = `model-0000${shard + 1}-of-0000${numShards}.safetensors`;
			// Dealt out in turn, so that a layer's weights lie in several files.
			const part = stored.filter((_, i) => i % numShards === shard);
			files[file] = safetensors(part, dtype);
			map.push(...part.map(({ name }): [string, string] => [name, file]));
		}
		files["model.safetensors.index.json"] = { metadata: {}, weight_map: Object.fromEntries(map) };
	}
	return { config, weights, files };
}

/** Writes a checkpoint's files, and others beside them. */
export function writeTiny(folder: string, { files }: TinyCheckpoint, others: Record<string, unknown> = {}) {
	return writeFolder(folder, { ...files, ...others });
}
