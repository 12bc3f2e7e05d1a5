// Reads a GGUF file of a Llama model with weights in F32, F16 or BF16, to be mapped as safetensors are. The library reads
// names and places; the checks against the file are ours. A tokenizer beside the file is preferred to the one inside, which
// leaves more unsaid.

import { open } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import type { NativeModel, WeightSource } from "../../native/addon.js";
import { OctavoError, received } from "../errors.js";
import type { Checkpoint } from "./checkpoint.js";
import { type GgufMetadata, parseGgufConfig } from "./gguf-config.js";
import { readGgufTokenizer } from "./gguf-tokenizer.js";
import { readTokenizer } from "./read-tokenizer.js";

type Tensor = WeightSource & { name: string };

const code = "ERR_OCTAVO_MODEL_FILE";
// By the number that the format gives a type; others are quantised.
const dtypes: Readonly<Record<number, { dtype: WeightSource["dtype"]; width: number }>> = {
	0: { dtype: "F32", width: 4 },
	1: { dtype: "F16", width: 2 },
	30: { dtype: "BF16", width: 2 },
};
const names: Readonly<Record<string, string>> = {
	...{ token_embd: "model.embed_tokens", output_norm: "model.norm", output: "lm_head" },
	...{ attn_norm: "input_layernorm", ffn_norm: "post_attention_layernorm" },
	...{ attn_q: "self_attn.q_proj", attn_k: "self_attn.k_proj", attn_v: "self_attn.v_proj" },
	...{ attn_output: "self_attn.o_proj", ffn_gate: "mlp.gate_proj", ffn_up: "mlp.up_proj", ffn_down: "mlp.down_proj" },
};
const frequencyTensor = "rope_freqs.weight";

function fail(path: string, message: string, cause?: unknown): never {
	throw new OctavoError(code, `${path}: ${message}`, { cause });
}

/** Name of a tensor in Hugging Face layout; a name unknown here comes back as it is, and is refused when opened. */
function weightName(name: string): string {
	const [, layer, part] = /^(?:blk\.(\d+)\.)?(\w+)\.weight$/.exec(name) ?? [];
	const known = part !== undefined && Object.hasOwn(names, part) ? names[part] : undefined;
	if (known === undefined) return name;
	return layer === undefined ? `${known}.weight` : `model.layers.${layer}.${known}.weight`;
}

/**
 * Reads a file.
 *
 * @throws {OctavoError} ERR_OCTAVO_MODEL_FILE for a file that is no GGUF, or whose weights are quantised or do not lie in
 * it; ERR_OCTAVO_MODEL_CONFIG naming the field
 */
export async function readGguf(path: string): Promise<Checkpoint> {
	const file = resolve(path);
	const { metadata, tensors } = await readTensors(file);
	const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
	const vocabSize = byName.get("model.embed_tokens.weight")?.shape[0];
	if (vocabSize === undefined) fail(file, "Expected a tensor token_embd.weight but there is none");
	const factors = byName.get(frequencyTensor);
	const config = parseGgufConfig(metadata, {
		vocabSize,
		hasHead: byName.has("lm_head.weight"),
		...(factors && { frequencyFactors: await readFloats(factors) }),
	});
	const folder = dirname(file);
	const tokenizer = (await readTokenizer(folder, config.vocabSize)) ?? (await readGgufTokenizer(metadata));
	const weights = tensors.filter(({ name }) => name !== frequencyTensor);
	return { name: basename(file), folder, config, weights, ...(tokenizer && { tokenizer }) };
}

async function readTensors(path: string): Promise<{ metadata: GgufMetadata; tensors: Tensor[] }> {
	const fileBytes = await checkStart(path);
	const { gguf } = await import("@huggingface/gguf");
	const parsed = await gguf(path, { allowLocalFile: true }).catch((error: Error) =>
		fail(path, `Expected a GGUF file but received: ${error.message}`, error),
	);
	if (!parsed.littleEndian) fail(path, "Expected numbers in little-endian order but received big-endian");
	const seen = new Set<string>();
	const tensors = parsed.tensorInfos.map((info): Tensor => {
		const at = (message: string) => fail(path, `tensor ${received(info.name)}: ${message}`);
		if (seen.has(info.name)) at("Expected each name once");
		seen.add(info.name);
		const type = dtypes[info.dtype];
		if (!type)
			return at(`Expected F32, F16 or BF16 but received the type ${info.dtype}, which is quantised or unknown`);
		// The format counts the innermost dimension first.
		const shape = info.shape.map(Number).reverse();
		const sizeBytes = shape.reduce((product, size) => product * size, type.width);
		const offsetBytes = Number(parsed.tensorDataOffset + info.offset);
		if (offsetBytes < 0 || !(offsetBytes + sizeBytes <= fileBytes)) {
			at(`Expected ${sizeBytes} bytes from ${offsetBytes} within the file's ${fileBytes}`);
		}
		return { name: weightName(info.name), dtype: type.dtype, shape, path, offsetBytes, sizeBytes };
	});
	return { metadata: parsed.metadata as unknown as GgufMetadata, tensors };
}

// Counts that the file has no room for would have the library read on and on.
async function checkStart(path: string): Promise<number> {
	const file = await open(path, "r").catch((error: Error) =>
		fail(path, `Expected a GGUF file but received: ${error.message}`, error),
	);
	try {
		const status = await file.stat();
		if (!status.isFile()) fail(path, "Expected a regular file");
		const start = Buffer.alloc(24);
		const { bytesRead } = await file.read(start, 0, 24, 0);
		if (bytesRead < 24 || start.toString("latin1", 0, 4) !== "GGUF") fail(path, "Expected a GGUF file");
		const version = start.readUInt32LE(4);
		if (version !== 2 && version !== 3) fail(path, `Expected version 2 or 3 but received ${version}`);
		// The shortest entries: a name's length and a type, and for tensors a dimension and an offset.
		const numTensors = start.readBigUInt64LE(8);
		const numEntries = start.readBigUInt64LE(16);
		if (numTensors * 24n + numEntries * 13n > BigInt(status.size)) {
			fail(
				path,
				`Expected at most ${status.size} bytes of entries but received ${numTensors} tensors and ${numEntries}`,
			);
		}
		return status.size;
	} finally {
		await file.close();
	}
}

async function readFloats({ path, dtype, shape, offsetBytes, sizeBytes }: Tensor): Promise<Float32Array> {
	if (dtype !== "F32" || shape.length !== 1 || sizeBytes > 2 ** 16) {
		fail(path, `Expected a short list of F32 in ${frequencyTensor} but received ${dtype} [${shape.join(", ")}]`);
	}
	const file = await open(path, "r");
	try {
		const values = new Float32Array(sizeBytes / 4);
		await file.read(new Uint8Array(values.buffer), 0, sizeBytes, offsetBytes);
		return values;
	} finally {
		await file.close();
	}
}

/**
 * Puts the rows of query and key weights in the order of Hugging Face layout, which the engine rotates by halves: GGUF has
 * the two rows of each pair beside one another. Changes the model in memory (its mapping is private), never the file.
 */
export function reorderHeads(model: NativeModel, { config }: Pick<Checkpoint, "config">): void {
	const half = config.headDim / 2;
	for (let layer = 0; layer < config.numLayers; layer++) {
		for (const part of ["q_proj", "k_proj"]) {
			const { buffer, shape } = model.weight(`model.layers.${layer}.self_attn.${part}.weight`);
			const bytes = new Uint8Array(buffer);
			const rowBytes = bytes.length / shape[0]!;
			const headBytes = rowBytes * config.headDim;
			for (let head = 0; head < bytes.length; head += headBytes) {
				const pairs = bytes.slice(head, head + headBytes);
				for (let row = 0; row < config.headDim; row++) {
					const from = 2 * (row % half) + (row < half ? 0 : 1);
					bytes.set(pairs.subarray(from * rowBytes, (from + 1) * rowBytes), head + row * rowBytes);
				}
			}
		}
	}
}
