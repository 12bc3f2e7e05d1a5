// What a session shows of itself: where it stands, its layers, tokens, logits and trace. What it does is in session.ts.

import type { NativeSession } from "../../native/addon.js";
import { native, OctavoError, received } from "../errors.js";
import { StepText } from "../model/step-text.js";
import type { Tokenizer } from "../model/tokenizer.js";
import { integer } from "../options.js";
import { Tensor } from "../tensor.js";
import type { TraceMetadata } from "../trace/arrow-schema.js";
import type { Trace } from "../trace/trace.js";
import { Driver } from "./driver.js";
import { LayerView } from "./layer-view.js";
import type { DecodeDefaults } from "./options.js";
import { customScoreOf } from "./policies/custom.js";
import type { Policy } from "./policies/policy.js";
import type { StopEvent } from "./run.js";
import { type TokenCandidate, topTokens } from "./sampling.js";
import { makeScorer } from "./scoring.js";

/** What a session needs of its model. */
export interface SessionModel extends DecodeDefaults {
	tokenizer: Tokenizer | undefined;
	numLayers: number;
	metadata: TraceMetadata;
	policy: Policy;
}

/** The looking half of a session. */
export abstract class SessionView {
	protected readonly driver: Driver;
	protected readonly model: SessionModel;
	protected readonly name = (token: number): string => this.model.tokenizer?.name(token) ?? `#${token}`;

	/** Made by `model.session` and `fork`. */
	constructor(session: NativeSession, model: SessionModel, parent?: Driver) {
		this.model = model;
		const custom = customScoreOf(model.policy);
		const scorer = custom && makeScorer(custom, session, (index) => this.layer(index));
		this.driver = new Driver(session, model.metadata, new StepText(model.tokenizer), scorer, parent);
	}

	/** The record of the run up to now, without a call still under way; stays readable after `close`. */
	get trace(): Trace {
		return this.driver.trace;
	}

	/** Where a breakpoint stopped the session inside a step; undefined between steps. */
	get stoppedAt(): StopEvent | undefined {
		return this.driver.stoppedAt;
	}

	/** Numbers of tokens that `rewind` can go back to without a snapshot, besides 0; ascending. */
	get rewindPoints(): Int32Array {
		return native(() => this.driver.native.rewindPoints());
	}

	/**
	 * One layer's cache, now; also while stopped at a breakpoint.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_LAYER for a layer that the model does not have
	 */
	layer(index: number): LayerView {
		const { numLayers } = this.model;
		if (!Number.isInteger(index) || index < 0 || index >= numLayers) {
			throw new OctavoError(
				"ERR_OCTAVO_LAYER",
				`Expected a layer from 0 to ${numLayers - 1} but received ${received(index)}`,
			);
		}
		const tokens = this.tokens;
		// The token of a step under way is cached before it counts as seen.
		const nameAt = (position: number) => (position < tokens.length ? this.name(tokens[position]!) : "(new)");
		return new LayerView(this.driver.native, index, (positions) => Array.from(positions, nameAt).join(" "));
	}

	/** Tokens of completed steps: the prompt, then fed and sampled ones. A copy. */
	get tokens(): Int32Array {
		return native(() => this.driver.native.tokens());
	}

	/** Tokens seen, which is the next RoPE position. */
	get numTokens(): number {
		return native(() => this.driver.native.numTokens);
	}

	/** f32 [vocab_size] after the last step; a view that the next step overwrites. */
	get logits(): Tensor {
		return Tensor.fromNative(
			native(() => this.driver.native.logits()),
			["token"],
		);
	}

	/**
	 * The likeliest next tokens.
	 *
	 * @param k how many, from 1. Default 5
	 * @throws {OctavoError} ERR_OCTAVO_OPTION
	 */
	topTokens(k?: number): TokenCandidate[] {
		const count = integer(1, 2 ** 31 - 1, 5)(k, "k of topTokens()");
		return topTokens(this.logits.toFloat32(), count, this.name);
	}

	/** Text of tokens. Default: of the whole sequence. */
	text(tokens: Iterable<number> = this.tokens): string {
		return this.model.tokenizer?.decode(tokens) ?? Array.from(tokens, this.name).join(" ");
	}

	/** What a fork with these changes needs of the model. */
	protected forkedModel({ policy, seed }: { policy?: Policy; seed?: number }): SessionModel {
		const { metadata } = this.model;
		const { name, ...policyOptions } = policy ?? { name: metadata.policy, ...metadata.policyOptions };
		const forked = { ...metadata, policy: name, policyOptions, seed: seed ?? metadata.seed };
		return { ...this.model, metadata: forked, policy: policy ?? this.model.policy };
	}

	/** Shows where the session stands. */
	[Symbol.for("Jupyter.display")](): Record<string, string> {
		const { model, policy, blockSize } = this.model.metadata;
		const state = this.driver.closed ? "closed" : `${this.numTokens} tokens`;
		return { "text/plain": `Session of ${model}: ${state}, policy ${policy}, blocks of ${blockSize}` };
	}
}
