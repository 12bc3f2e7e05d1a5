// What a policy written in a cell sees when it is asked for scores. What it did not name in `needs` has not been measured:
// reading it says so, since undefined would end as NaN far from its cause.

import type { NativeSession, ScoreEvent, ScoringInputs } from "../../native/addon.js";
import { native, OctavoError } from "../errors.js";
import { Tensor } from "../tensor.js";
import type { BlockView, LayerView } from "./layer-view.js";
import type { Need } from "./policies/custom.js";

/** Euclidean norms of keys and values. */
export interface Norms {
	/** f32 [num_tokens, num_kv_heads]. */
	keys: Tensor;
	/** f32 [num_tokens, num_kv_heads]. */
	values: Tensor;
}

/** What is measured only for policies that name it in `needs`; reading another throws ERR_OCTAVO_POLICY. */
export interface Measured {
	/** Norms of the tokens. */
	readonly norms: Norms;
	/** f32 [num_tokens]: what all queries so far gave each token, averaged over query heads. */
	readonly attentionMass: Float32Array;
	/** f32 [num_query_heads, head_dim]: the newest query, after RoPE; under a scope shared by a mean, that of the step before. */
	readonly lastQuery: Tensor;
}

/** A block that may go. Its tokens are those of `positions`. */
export interface ScoredBlock extends BlockView, Measured {
	/** Index of the step under way. */
	stepIndex: number;
}

/** All live tokens of a layer. */
export interface ScoredTokens extends Measured {
	layer: number;
	/** Index of the step under way. */
	stepIndex: number;
	/** `prefill`: the whole prompt; `decode`: what is cached, the newest token among it. */
	phase: "prefill" | "decode";
	numTokens: number;
	/** RoPE positions, in the order of scores. */
	positions: Int32Array;
	/** f32 [head_dim] of one token in a KV head, after RoPE; in decode no copy of an f32 cache. */
	key(token: number, kvHead: number): Float32Array;
	/** f32 [head_dim]. */
	value(token: number, kvHead: number): Float32Array;
}

class Measurements implements Measured {
	readonly #inputs: () => ScoringInputs;
	readonly #needs: readonly Need[];
	readonly #first: number;
	readonly #count: number;

	constructor(inputs: () => ScoringInputs, needs: readonly Need[], first: number, count: number) {
		this.#inputs = inputs;
		this.#needs = needs;
		this.#first = first;
		this.#count = count;
	}

	get norms(): Norms {
		const { keyNorms, valueNorms, numKvHeads } = this.#measured("norms");
		const rows = (norms: Float32Array) => {
			const data = norms.subarray(this.#first * numKvHeads, (this.#first + this.#count) * numKvHeads);
			return new Tensor("f32", data, [this.#count, numKvHeads], ["token", "kv_head"]);
		};
		return { keys: rows(keyNorms), values: rows(valueNorms) };
	}

	get attentionMass(): Float32Array {
		return this.#measured("attentionMass").attentionMass.subarray(this.#first, this.#first + this.#count);
	}

	get lastQuery(): Tensor {
		const { lastQuery, headDim } = this.#measured("lastQuery");
		return new Tensor("f32", lastQuery, [lastQuery.length / headDim, headDim], ["query_head", "head_dim"]);
	}

	#measured(need: Need): ScoringInputs {
		requireNeed(need, this.#needs);
		return this.#inputs();
	}
}

function requireNeed(need: Need, needs: readonly Need[]): void {
	if (needs.includes(need)) return;
	const expected = `needs of policies.custom to name "${need}", which its score reads,`;
	const named = needs.map((name) => JSON.stringify(name)).join(", ");
	throw new OctavoError("ERR_OCTAVO_POLICY", `Expected ${expected} but received [${named}]`);
}

function lend<T extends object>(target: T, measured: Measured): T & Measured {
	for (const name of ["norms", "attentionMass", "lastQuery"] as const) {
		Object.defineProperty(target, name, { enumerable: true, get: () => measured[name] });
	}
	return target as T & Measured;
}

/** Gives views for one question of the engine; what the views need is measured at most once. */
export class ScoringViews {
	readonly #event: ScoreEvent;
	readonly #layer: LayerView;
	readonly #needs: readonly Need[];
	readonly #measure: () => ScoringInputs;
	#inputs: ScoringInputs | undefined;

	/** Made for each question. */
	constructor(session: NativeSession, event: ScoreEvent, layer: LayerView, needs: readonly Need[]) {
		this.#event = event;
		this.#layer = layer;
		this.#needs = needs;
		this.#measure = () => {
			this.#inputs ??= native(() => session.scoringInputs(needs));
			return this.#inputs;
		};
	}

	/** One block of those asked for. */
	block(logicalIndex: number): ScoredBlock {
		const view = { ...this.#layer.block(logicalIndex), stepIndex: this.#event.stepIndex };
		const first = logicalIndex * view.keys.shape[1]!;
		return lend(view, new Measurements(this.#measure, this.#needs, first, view.filled));
	}

	/** All tokens. */
	tokens(): ScoredTokens {
		const { stepIndex, layer, phase, candidates } = this.#event;
		const rows = phase === "prefill" ? this.#promptRows() : this.#cachedRows();
		const view = { layer, stepIndex, phase, numTokens: candidates.length, positions: candidates, ...rows };
		return lend(view, new Measurements(this.#measure, this.#needs, 0, candidates.length));
	}

	#promptRows(): Pick<ScoredTokens, "key" | "value"> {
		const row = (what: "keys" | "values", token: number, kvHead: number) => {
			requireNeed(what, this.#needs);
			const { [what]: data, numKvHeads, headDim } = this.#measure();
			const first = (token * numKvHeads + kvHead) * headDim;
			return data.subarray(first, first + headDim);
		};
		return {
			key: (token, kvHead) => row("keys", token, kvHead),
			value: (token, kvHead) => row("values", token, kvHead),
		};
	}

	#cachedRows(): Pick<ScoredTokens, "key" | "value"> {
		const [, numKvHeads, blockSize, headDim] = this.#layer.keys.shape as [number, number, number, number];
		const row = (what: "keys" | "values", token: number, kvHead: number) => {
			requireNeed(what, this.#needs);
			const slot = this.#measure().slots[token]!;
			const place = slot % blockSize;
			const tensor = this.#layer[what];
			if (tensor.dtype !== "f32") return tensor.at((slot - place) / blockSize, kvHead, place).toFloat32();
			const first = (((slot - place) / blockSize) * numKvHeads + kvHead) * blockSize + place;
			return (tensor.data as Float32Array).subarray(first * headDim, (first + 1) * headDim);
		};
		return {
			key: (token, kvHead) => row("keys", token, kvHead),
			value: (token, kvHead) => row("values", token, kvHead),
		};
	}
}
