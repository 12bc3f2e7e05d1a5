// The header of a GGUF file for a Llama-architecture model, with a vocabulary of made-up words: llama.cpp wants one, and
// speed does not depend on it. Version 3 of the format, little-endian, tensors aligned to 32 bytes.

import type { LlamaSpec } from "octavo";

/** A tensor as the header names it; dimensions from the fastest to the slowest. */
export interface GgufTensor {
	name: string;
	shape: number[];
	type: "f32" | "f16" | "bf16";
}

const alignment = 32;
const tensorTypes = { f32: 0, f16: 1, bf16: 30 };
const fileTypes = { f32: 0, f16: 1, bf16: 32 };
const valueTypes = { u32: 4, i32: 5, f32: 6, string: 8, array: 9 };

/** Bytes in the order written. */
class ByteList {
	readonly #parts: Buffer[] = [];

	add(size: number, write: (bytes: Buffer) => void): this {
		const bytes = Buffer.alloc(size);
		write(bytes);
		this.#parts.push(bytes);
		return this;
	}
	u32 = (value: number) => this.add(4, (bytes) => bytes.writeUInt32LE(value));
	u64 = (value: number) => this.add(8, (bytes) => bytes.writeBigUInt64LE(BigInt(value)));
	f32 = (value: number) => this.add(4, (bytes) => bytes.writeFloatLE(value));
	string(text: string): this {
		const bytes = Buffer.from(text);
		this.u64(bytes.length);
		this.#parts.push(bytes);
		return this;
	}
	joined = () => Buffer.concat(this.#parts);
}

type Value =
	| { u32: number }
	| { f32: number }
	| { string: string }
	| { strings: string[] }
	| { numbers: Float32Array | Int32Array };

function addValue(list: ByteList, value: Value): void {
	if ("u32" in value) list.u32(valueTypes.u32).u32(value.u32);
	else if ("f32" in value) list.u32(valueTypes.f32).f32(value.f32);
	else if ("string" in value) list.u32(valueTypes.string).string(value.string);
	else if ("strings" in value) {
		list.u32(valueTypes.array).u32(valueTypes.string).u64(value.strings.length);
		for (const text of value.strings) list.string(text);
	} else {
		const { numbers } = value;
		list
			.u32(valueTypes.array)
			.u32(numbers instanceof Int32Array ? valueTypes.i32 : valueTypes.f32)
			.u64(numbers.length);
		list.add(numbers.byteLength, (bytes) => bytes.set(new Uint8Array(numbers.buffer)));
	}
}

/** Three control tokens, the 256 bytes, then words. */
function vocabulary(size: number): Record<string, Value> {
	const control = ["<unk>", "<s>", "</s>"];
	const numBytes = 256;
	const texts = Array.from({ length: size }, (_, i) => {
		if (i < control.length) return control[i]!;
		const byte = i - control.length;
		return byte < numBytes ? `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>` : `word${i}`;
	});
	const kinds = Int32Array.from(texts, (_, i) => (i === 0 ? 2 : i < control.length ? 3 : i < 3 + numBytes ? 6 : 1));
	return {
		"tokenizer.ggml.model": { string: "llama" },
		"tokenizer.ggml.tokens": { strings: texts },
		"tokenizer.ggml.scores": { numbers: Float32Array.from(texts, (_, i) => -i) },
		"tokenizer.ggml.token_type": { numbers: kinds },
		"tokenizer.ggml.unknown_token_id": { u32: 0 },
		"tokenizer.ggml.bos_token_id": { u32: 1 },
		"tokenizer.ggml.eos_token_id": { u32: 2 },
	};
}

/** Everything before the first tensor's bytes. Each tensor's bytes are padded to 32 in the file. */
export function ggufHeader(spec: LlamaSpec, tensors: readonly GgufTensor[], type: GgufTensor["type"]): Buffer {
	const values: Record<string, Value> = {
		"general.architecture": { string: "llama" },
		"general.name": { string: "random" },
		"general.file_type": { u32: fileTypes[type] },
		"llama.vocab_size": { u32: spec.vocabSize },
		"llama.context_length": { u32: spec.maxPositions },
		"llama.embedding_length": { u32: spec.hiddenSize },
		"llama.block_count": { u32: spec.numLayers },
		"llama.feed_forward_length": { u32: spec.intermediateSize },
		"llama.attention.head_count": { u32: spec.numQueryHeads },
		"llama.attention.head_count_kv": { u32: spec.numKvHeads },
		"llama.attention.layer_norm_rms_epsilon": { f32: spec.rmsNormEps },
		"llama.rope.dimension_count": { u32: spec.headDim },
		"llama.rope.freq_base": { f32: spec.ropeTheta },
		...vocabulary(spec.vocabSize),
	};
	const list = new ByteList();
	list.add(4, (bytes) => bytes.write("GGUF"));
	list.u32(3).u64(tensors.length).u64(Object.keys(values).length);
	for (const [key, value] of Object.entries(values)) {
		list.string(key);
		addValue(list, value);
	}
	let offset = 0;
	for (const { name, shape, type: tensorType } of tensors) {
		list.string(name).u32(shape.length);
		for (const size of shape) list.u64(size);
		list.u32(tensorTypes[tensorType]).u64(offset);
		const bytes = shape.reduce((product, size) => product * size, tensorType === "f32" ? 4 : 2);
		offset += Math.ceil(bytes / alignment) * alignment;
	}
	const header = list.joined();
	return Buffer.concat([header, Buffer.alloc((alignment - (header.length % alignment)) % alignment)]);
}
