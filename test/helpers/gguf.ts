// Writes small GGUF files, as llama.cpp's converter does: its names, its order of dimensions, and its order of the rows of
// query and key weights.

import type { TinyCheckpoint } from "./tiny-checkpoint.js";
import { encodeNumbers } from "./tiny-checkpoint.js";

const types = { F32: 0, F16: 1, BF16: 30 } as const;

/** A metadata value with its type. */
export type GgufValue =
	| { u32: number }
	| { f32: number }
	| { text: string }
	| { texts: string[] }
	| { u32s: number[] }
	| { truth: boolean };

const u32 = (value: number) => {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32LE(value);
	return bytes;
};
const u64 = (value: number) => {
	const bytes = Buffer.alloc(8);
	bytes.writeBigUInt64LE(BigInt(value));
	return bytes;
};
const text = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

function encodeValue(value: GgufValue): Buffer {
	if ("u32" in value) return Buffer.concat([u32(4), u32(value.u32)]);
	if ("text" in value) return Buffer.concat([u32(8), text(value.text)]);
	if ("truth" in value) return Buffer.concat([u32(7), Buffer.of(value.truth ? 1 : 0)]);
	if ("u32s" in value) return Buffer.concat([u32(9), u32(4), u64(value.u32s.length), ...value.u32s.map(u32)]);
	if ("texts" in value) {
		return Buffer.concat([u32(9), u32(8), u64(value.texts.length), ...value.texts.map(text)]);
	}
	const bytes = Buffer.alloc(4);
	bytes.writeFloatLE(value.f32);
	return Buffer.concat([u32(6), bytes]);
}

const names: [RegExp, string][] = [
	[/^model\.embed_tokens/, "token_embd"],
	[/^model\.norm/, "output_norm"],
	[/^lm_head/, "output"],
	[/^model\.layers\.(\d+)\.self_attn\.o_proj/, "blk.$1.attn_output"],
	[/^model\.layers\.(\d+)\.self_attn\.([qkv])_proj/, "blk.$1.attn_$2"],
	[/^model\.layers\.(\d+)\.input_layernorm/, "blk.$1.attn_norm"],
	[/^model\.layers\.(\d+)\.post_attention_layernorm/, "blk.$1.ffn_norm"],
	[/^model\.layers\.(\d+)\.mlp\.(\w+)_proj/, "blk.$1.ffn_$2"],
];

/** How the file differs from what the converter writes. */
export interface GgufOptions {
	dtype?: keyof typeof types;
	/** Values to add or replace; undefined removes one. */
	metadata?: Record<string, GgufValue | undefined>;
	/** Factors of RoPE frequencies. */
	frequencyFactors?: number[];
	/** Number of the type that tensors are said to have. */
	type?: number;
}

/** Bytes of a file with a checkpoint's weights; `dtype` must be that of the checkpoint for equal numbers. */
export function encodeGguf({ config, weights }: TinyCheckpoint, options: GgufOptions = {}): Buffer {
	const { dtype = "F32", frequencyFactors } = options;
	const metadata: Record<string, GgufValue | undefined> = {
		"general.architecture": { text: "llama" },
		"general.name": { text: "tiny" },
		"llama.block_count": { u32: config.num_hidden_layers },
		"llama.context_length": { u32: config.max_position_embeddings as number },
		"llama.embedding_length": { u32: config.hidden_size },
		"llama.feed_forward_length": { u32: config.intermediate_size },
		"llama.attention.head_count": { u32: config.num_attention_heads },
		"llama.attention.head_count_kv": { u32: config.num_key_value_heads },
		"llama.attention.key_length": { u32: config.head_dim },
		"llama.attention.value_length": { u32: config.head_dim },
		"llama.rope.dimension_count": { u32: config.head_dim },
		"llama.rope.freq_base": { f32: config.rope_theta },
		"llama.attention.layer_norm_rms_epsilon": { f32: config.rms_norm_eps },
		"tokenizer.ggml.tokens": { texts: Array.from({ length: config.vocab_size }, (_, i) => `token ${i}`) },
		"tokenizer.ggml.bos_token_id": { u32: 0 },
		"tokenizer.ggml.eos_token_id": { u32: 1 },
		...options.metadata,
	};
	const entries = Object.entries(metadata).filter((entry): entry is [string, GgufValue] => entry[1] !== undefined);

	const heads = (name: string) =>
		name.includes("q_proj") ? config.num_attention_heads : name.includes("k_proj") ? config.num_key_value_heads : 0;
	const tensors = [...weights].map(([name, { shape, data }]) => {
		let values = Array.from(data);
		if (heads(name) > 0) {
			// w.reshape(heads, 2, half, columns).swapaxes(1, 2)
			const columns = shape[1]!;
			const half = shape[0]! / heads(name) / 2;
			values = [];
			for (let head = 0; head < heads(name); head++) {
				for (let i = 0; i < half; i++) {
					for (let side = 0; side < 2; side++) {
						const row = (head * 2 + side) * half + i;
						values.push(...data.subarray(row * columns, (row + 1) * columns));
					}
				}
			}
		}
		const [pattern, replacement] = names.find(([candidate]) => candidate.test(name))!;
		return {
			name: name.replace(pattern, replacement),
			shape,
			type: types[dtype],
			bytes: encodeNumbers(values, dtype).bytes,
		};
	});
	if (frequencyFactors) {
		const { bytes } = encodeNumbers(frequencyFactors, "F32");
		tensors.push({ name: "rope_freqs.weight", shape: [frequencyFactors.length], type: 0, bytes });
	}

	const head: Buffer[] = [Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(entries.length)];
	for (const [key, value] of entries) head.push(text(key), encodeValue(value));
	const data: Buffer[] = [];
	let at = 0;
	for (const { name, shape, type, bytes } of tensors) {
		head.push(text(name), u32(shape.length), ...shape.toReversed().map(u64), u32(options.type ?? type), u64(at));
		const padded = Buffer.alloc(Math.ceil(bytes.length / 32) * 32);
		bytes.copy(padded);
		data.push(padded);
		at += padded.length;
	}
	const header = Buffer.concat(head);
	return Buffer.concat([header, Buffer.alloc(-header.length & 31), ...data]);
}
