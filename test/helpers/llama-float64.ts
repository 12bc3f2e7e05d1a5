// A Llama forward pass in plain float64, written from the model's definition alone: what the engine's logits are compared
// with. Dense attention over all tokens, one matrix product after another, nothing shared with the engine or the SDK.

/** A weight as numbers, row by row. */
export interface Weight64 {
	shape: number[];
	data: Float64Array;
}

/** Fields of config.json that the forward pass needs. */
export interface LlamaJson {
	hidden_size: number;
	intermediate_size: number;
	num_hidden_layers: number;
	num_attention_heads: number;
	num_key_value_heads: number;
	head_dim: number;
	vocab_size: number;
	rms_norm_eps: number;
	rope_theta: number;
	rope_scaling?: {
		factor: number;
		low_freq_factor: number;
		high_freq_factor: number;
		original_max_position_embeddings: number;
	} | null;
	tie_word_embeddings: boolean;
}

/** Angles a position turns each pair of dimensions by; Llama 3.1's scaling slows down those with long wavelengths. */
export function frequencies64(config: LlamaJson): number[] {
	const half = config.head_dim / 2;
	return Array.from({ length: half }, (_, i) => {
		const frequency = config.rope_theta ** (-i / half);
		const scaling = config.rope_scaling;
		if (!scaling) return frequency;
		const turns = (scaling.original_max_position_embeddings * frequency) / (2 * Math.PI);
		if (turns < scaling.low_freq_factor) return frequency / scaling.factor;
		if (turns > scaling.high_freq_factor) return frequency;
		const kept = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
		return kept * frequency + (1 - kept) * (frequency / scaling.factor);
	});
}

/** Logits after each token. */
export function llamaLogits64(config: LlamaJson, weights: ReadonlyMap<string, Weight64>, tokens: readonly number[]) {
	const get = (name: string) => {
		const weight = weights.get(name);
		if (!weight) throw new Error(`no weight ${name}`);
		return weight;
	};
	const times = ({ shape, data }: Weight64, x: number[]) =>
		Array.from({ length: shape[0]! }, (_, row) => x.reduce((sum, v, i) => sum + v * data[row * x.length + i]!, 0));
	const norm = (x: number[], { data }: Weight64) => {
		const scale = 1 / Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length + config.rms_norm_eps);
		return x.map((v, i) => v * scale * data[i]!);
	};
	const add = (x: number[], y: number[]) => x.map((v, i) => v + y[i]!);
	const d = config.head_dim;
	const half = d / 2;
	const frequencies = frequencies64(config);
	const rotated = (x: number[], position: number) =>
		x.map((v, i) => {
			const angle = position * frequencies[(i % d) % half]!;
			const isFirst = i % d < half;
			return v * Math.cos(angle) + (isFirst ? -x[i + half]! : x[i - half]!) * Math.sin(angle);
		});

	const embedding = get("model.embed_tokens.weight");
	let hidden = tokens.map((token) =>
		Array.from(embedding.data.subarray(token * config.hidden_size, (token + 1) * config.hidden_size)),
	);
	const group = config.num_attention_heads / config.num_key_value_heads;
	for (let layer = 0; layer < config.num_hidden_layers; layer++) {
		const at = (name: string) => get(`model.layers.${layer}.${name}.weight`);
		const normed = hidden.map((x) => norm(x, at("input_layernorm")));
		const queries = normed.map((x, t) => rotated(times(at("self_attn.q_proj"), x), t));
		const keys = normed.map((x, t) => rotated(times(at("self_attn.k_proj"), x), t));
		const values = normed.map((x) => times(at("self_attn.v_proj"), x));
		const attended = queries.map((query, t) => {
			const output: number[] = [];
			for (let head = 0; head < config.num_attention_heads; head++) {
				const kv = Math.floor(head / group) * d;
				const scores = keys.slice(0, t + 1).map((key) => {
					let dot = 0;
					for (let i = 0; i < d; i++) dot += query[head * d + i]! * key[kv + i]!;
					return Math.exp(dot / Math.sqrt(d));
				});
				const total = scores.reduce((a, b) => a + b, 0);
				for (let i = 0; i < d; i++) {
					output.push(scores.reduce((sum, score, s) => sum + (score / total) * values[s]![kv + i]!, 0));
				}
			}
			return times(at("self_attn.o_proj"), output);
		});
		hidden = hidden.map((x, t) => add(x, attended[t]!));
		hidden = hidden.map((x) => {
			const input = norm(x, at("post_attention_layernorm"));
			const up = times(at("mlp.up_proj"), input);
			const inner = times(at("mlp.gate_proj"), input).map((v, i) => (v / (1 + Math.exp(-v))) * up[i]!);
			return add(x, times(at("mlp.down_proj"), inner));
		});
	}
	const head = config.tie_word_embeddings ? embedding : get("lm_head.weight");
	return hidden.map((x) => times(head, norm(x, get("model.norm.weight"))));
}
