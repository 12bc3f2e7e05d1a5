// One random-weight model written twice, for octavo (Hugging Face folder) and for llama.cpp (GGUF): the same numbers in the
// same type. Rows are cut from one table of normal numbers at random places, since speed does not depend on the values and
// drawing a billion of them would take minutes.

import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { LlamaSpec } from "octavo";
import { ggufHeader } from "./gguf.js";

/** Types of the two-dimensional weights; norms are f32 in GGUF, which llama.cpp demands, and of this type elsewhere. */
export type WeightType = "f32" | "f16" | "bf16";

/** One weight under both formats' names. */
interface Weight {
	name: string;
	ggufName: string;
	rows: number;
	columns: number;
	/** llama.cpp rotates neighbouring pairs, so its files keep query and key rows in another order: heads to reorder. */
	numRotatedHeads?: number;
}

const tableSize = 2 ** 20;

function weights(spec: LlamaSpec): Weight[] {
	const { hiddenSize: hidden, intermediateSize: ffn, numQueryHeads, numKvHeads, headDim } = spec;
	const list: Weight[] = [
		{ name: "model.embed_tokens", ggufName: "token_embd", rows: spec.vocabSize, columns: hidden },
		{ name: "model.norm", ggufName: "output_norm", rows: 1, columns: hidden },
	];
	if (!spec.tieWordEmbeddings)
		list.push({ name: "lm_head", ggufName: "output", rows: spec.vocabSize, columns: hidden });
	for (let layer = 0; layer < spec.numLayers; layer++) {
		const add = (name: string, ggufName: string, rows: number, columns: number, numRotatedHeads?: number) =>
			list.push({
				...{ name: `model.layers.${layer}.${name}`, ggufName: `blk.${layer}.${ggufName}`, rows, columns },
				...(numRotatedHeads !== undefined && { numRotatedHeads }),
			});
		add("input_layernorm", "attn_norm", 1, hidden);
		add("self_attn.q_proj", "attn_q", numQueryHeads * headDim, hidden, numQueryHeads);
		add("self_attn.k_proj", "attn_k", numKvHeads * headDim, hidden, numKvHeads);
		add("self_attn.v_proj", "attn_v", numKvHeads * headDim, hidden);
		add("self_attn.o_proj", "attn_output", hidden, numQueryHeads * headDim);
		add("post_attention_layernorm", "ffn_norm", 1, hidden);
		add("mlp.gate_proj", "ffn_gate", ffn, hidden);
		add("mlp.up_proj", "ffn_up", ffn, hidden);
		add("mlp.down_proj", "ffn_down", hidden, ffn);
	}
	return list;
}

/** A linear congruential generator: numbers below 2^32. */
function generator(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return state;
	};
}

function narrow(value: number, type: WeightType): number {
	const bits = new Uint32Array(new Float32Array([value]).buffer)[0]!;
	if (type === "f32") return bits;
	if (type === "bf16") return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
	// f16 by truncation; the table's numbers lie far from its ends, and smaller ones become zero.
	const exponent = ((bits >>> 23) & 0xff) - 127 + 15;
	return exponent <= 0 ? 0 : ((bits >>> 16) & 0x8000) | (exponent << 10) | ((bits >>> 13) & 0x3ff);
}

/** Normal numbers with standard deviation 0.02 as bytes of the type. */
function normalTable(type: WeightType): Buffer {
	const next = generator(1);
	const uniform = () => (next() + 1) / 2 ** 32;
	const numbers = type === "f32" ? new Uint32Array(tableSize) : new Uint16Array(tableSize);
	for (let i = 0; i < tableSize; i++) {
		const value = 0.02 * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
		numbers[i] = narrow(value, type);
	}
	return Buffer.from(numbers.buffer);
}

/** Rows of one weight in the order of the file, as one buffer. */
function weightBytes(weight: Weight, index: number, table: Buffer, type: WeightType, forGguf: boolean): Buffer {
	const isNorm = weight.rows === 1;
	if (isNorm) {
		const stored = forGguf ? "f32" : type;
		const one = narrow(1, stored);
		const count = weight.columns;
		const ones = stored === "f32" ? new Uint32Array(count).fill(one) : new Uint16Array(count).fill(one);
		return Buffer.from(ones.buffer);
	}
	const elementBytes = type === "f32" ? 4 : 2;
	const rowBytes = weight.columns * elementBytes;
	const bytes = Buffer.allocUnsafe(weight.rows * rowBytes);
	const next = generator(1000 + index);
	const headDim = weight.numRotatedHeads === undefined || !forGguf ? 0 : weight.rows / weight.numRotatedHeads;
	for (let row = 0; row < weight.rows; row++) {
		const from = (next() % (tableSize - weight.columns)) * elementBytes;
		let target = row;
		if (headDim > 0) {
			const inHead = row % headDim;
			const half = headDim / 2;
			target = row - inHead + (inHead < half ? 2 * inHead : 2 * (inHead - half) + 1);
		}
		table.copy(bytes, target * rowBytes, from, from + rowBytes);
	}
	return bytes;
}

function safetensorsHeader(list: readonly Weight[], type: WeightType): Buffer {
	const elementBytes = type === "f32" ? 4 : 2;
	let offset = 0;
	const header: Record<string, unknown> = {};
	for (const { name, rows, columns } of list) {
		const end = offset + rows * columns * elementBytes;
		const shape = rows === 1 ? [columns] : [rows, columns];
		header[`${name}.weight`] = { dtype: type.toUpperCase(), shape, data_offsets: [offset, end] };
		offset = end;
	}
	// Padded with spaces, so that weights begin at a cache line.
	const text = JSON.stringify(header);
	const json = Buffer.from(text.padEnd(Math.ceil((text.length + 8) / 64) * 64 - 8));
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(json.length));
	return Buffer.concat([length, json]);
}

function hfConfig(spec: LlamaSpec): object {
	return {
		...{ architectures: ["LlamaForCausalLM"], model_type: "llama", hidden_act: "silu" },
		...{ num_hidden_layers: spec.numLayers, hidden_size: spec.hiddenSize, intermediate_size: spec.intermediateSize },
		...{ num_attention_heads: spec.numQueryHeads, num_key_value_heads: spec.numKvHeads, head_dim: spec.headDim },
		...{ vocab_size: spec.vocabSize, max_position_embeddings: spec.maxPositions, rms_norm_eps: spec.rmsNormEps },
		...{ rope_theta: spec.ropeTheta, tie_word_embeddings: spec.tieWordEmbeddings },
	};
}

/** Where the two copies of a model lie. */
export interface ModelFiles {
	/** Hugging Face folder. */
	folder: string;
	/** GGUF file. */
	gguf: string;
	/** Bytes of all weights, in the Hugging Face folder. */
	sizeBytes: number;
}

/** Writes both copies into `folder`, which is made. */
export function writeRandomModel(folder: string, spec: LlamaSpec, type: WeightType): ModelFiles {
	mkdirSync(folder, { recursive: true });
	writeFileSync(join(folder, "config.json"), `${JSON.stringify(hfConfig(spec), null, "\t")}\n`);
	const list = weights(spec);
	const table = normalTable(type);
	const gguf = join(folder, "model.gguf");
	let sizeBytes = 0;
	const write = (path: string, header: Buffer, alignment: number, forGguf: boolean) => {
		const file = openSync(path, "w");
		try {
			writeSync(file, header);
			for (const [index, weight] of list.entries()) {
				const bytes = weightBytes(weight, index, table, type, forGguf);
				if (!forGguf) sizeBytes += bytes.length;
				for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
				writeSync(file, Buffer.alloc((alignment - (bytes.length % alignment)) % alignment));
			}
		} finally {
			closeSync(file);
		}
	};
	write(join(folder, "model.safetensors"), safetensorsHeader(list, type), 1, false);
	const tensors = list.map(({ ggufName, rows, columns }) => ({
		name: `${ggufName}.weight`,
		shape: rows === 1 ? [columns] : [columns, rows],
		type: rows === 1 ? ("f32" as const) : type,
	}));
	write(gguf, ggufHeader(spec, tensors, type), 32, true);
	return { folder, gguf, sizeBytes };
}
