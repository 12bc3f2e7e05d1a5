// Writes small model folders for tests: right ones, and ones that are wrong in a given way.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A tensor of a file to write. */
export interface PlainTensor {
	shape: number[];
	data: Float32Array;
}

/** Bytes of a safetensors file from a header as given (right or wrong) and data. */
export function safetensorsBytes(header: unknown, data: Uint8Array, headerText = JSON.stringify(header)): Buffer {
	const json = Buffer.from(headerText);
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(json.length));
	return Buffer.concat([length, json, data]);
}

/** A right safetensors file of f32 tensors. */
export function encodeSafetensors(tensors: Record<string, PlainTensor>): Buffer {
	const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
	const parts: Buffer[] = [];
	let at = 0;
	for (const [name, { shape, data }] of Object.entries(tensors)) {
		header[name] = { dtype: "F32", shape, data_offsets: [at, at + data.byteLength] };
		parts.push(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
		at += data.byteLength;
	}
	return safetensorsBytes(header, Buffer.concat(parts));
}

/** config.json of a model of two layers with a few hundred parameters. */
export const tinyConfig = {
	architectures: ["LlamaForCausalLM"],
	model_type: "llama",
	hidden_size: 8,
	intermediate_size: 12,
	num_hidden_layers: 2,
	num_attention_heads: 2,
	num_key_value_heads: 1,
	vocab_size: 20,
	max_position_embeddings: 128,
	rms_norm_eps: 1e-5,
	rope_theta: 10_000,
	hidden_act: "silu",
	tie_word_embeddings: true,
};

/** Weights that fit `tinyConfig`: small and all different. */
export function tinyWeights(): Record<string, PlainTensor> {
	let n = 0;
	const fill = (...shape: number[]): PlainTensor => {
		const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
		for (let i = 0; i < data.length; i++) data[i] = Math.sin(++n) * 0.5;
		return { shape, data };
	};
	const weights: Record<string, PlainTensor> = {
		"model.embed_tokens.weight": fill(20, 8),
		"model.norm.weight": fill(8),
	};
	for (const layer of [0, 1]) {
		const prefix = `model.layers.${layer}`;
		weights[`${prefix}.input_layernorm.weight`] = fill(8);
		weights[`${prefix}.post_attention_layernorm.weight`] = fill(8);
		weights[`${prefix}.self_attn.q_proj.weight`] = fill(8, 8);
		weights[`${prefix}.self_attn.k_proj.weight`] = fill(4, 8);
		weights[`${prefix}.self_attn.v_proj.weight`] = fill(4, 8);
		weights[`${prefix}.self_attn.o_proj.weight`] = fill(8, 8);
		weights[`${prefix}.mlp.gate_proj.weight`] = fill(12, 8);
		weights[`${prefix}.mlp.up_proj.weight`] = fill(12, 8);
		weights[`${prefix}.mlp.down_proj.weight`] = fill(8, 12);
	}
	return weights;
}

/** Writes a model folder of files given as JSON values or bytes. */
export async function writeFolder(folder: string, files: Record<string, unknown>): Promise<string> {
	await mkdir(folder, { recursive: true });
	for (const [name, content] of Object.entries(files)) {
		await writeFile(join(folder, name), Buffer.isBuffer(content) ? content : JSON.stringify(content));
	}
	return folder;
}
