// One prompt under one policy: how many questions are answered, and what the cache held. Everything an experiment measures
// of the model goes through here.

import { setImmediate } from "node:timers/promises";
import { withInterrupt } from "../../decode/interrupt.js";
import type { Policy } from "../../decode/policies/policy.js";
import type { Model } from "../../load-model.js";
import { answer, type RecallPrompt } from "../../model/tasks/index.js";

/** How long an experiment runs at a stretch before other work comes in, in milliseconds. */
const turnMs = 20;

/** What all experiments take. */
export interface ExperimentOptions {
	/** Prompts of each point, from 1. Default: each experiment's own. */
	numPrompts?: number;
	/** Seed of the first prompt; later ones count up. From 0; default 1000. */
	firstSeed?: number;
	/** Called with how much is done, in runs. */
	onProgress?: (done: number, total: number) => void;
	/** Ends the experiment; its promise rejects with the signal's reason. */
	signal?: AbortSignal;
}

/** The part of the options that says how to run. */
export type RunControl = { [K in "onProgress" | "signal"]: ExperimentOptions[K] | undefined };

/** What one prompt came to. */
export interface Outcome {
	/** Fraction of questions answered right, from 0 to 1. */
	score: number;
	/** Mean over layers after the last question, in tokens. */
	liveTokens: number;
	/** Mean over layers after the last question, in slots of all blocks. */
	allocatedTokens: number;
}

/** How a prompt comes in. */
export interface Asking {
	/** The prompt ends with its first question, so that the policy sees it before it evicts. Default: asked after. */
	readonly questionAware?: boolean | undefined;
	/** Tokens of the context that are prefilled; the others come in one by one, so that decode evicts. Default: all. */
	readonly numPrefilled?: number | undefined;
}

/** Under what a prompt is asked about. */
export interface Conditions extends Asking {
	policy: Policy;
	blockSize: number;
	seed: number;
}

// A custom policy of blocks keeps a prompt whole until decode fills a block. The prompt's own last full block is filled so:
// else the questions might come before anything was evicted, and the policy would seem as good as a full cache.
const cutsAsBlocksFill = (policy: Policy): boolean => policy.name === "custom" && policy.granularity !== "token";

const beforeLastFull = (length: number, blockSize: number): number =>
	length > blockSize ? length - (length % blockSize) - 1 : length;

/** Prefills a prompt, which evicts, and asks its questions. */
export function evaluate(model: Model, prompt: RecallPrompt, conditions: Conditions): Outcome {
	const { policy, blockSize, seed, questionAware = false, numPrefilled } = conditions;
	using session = model.session({ blockSize, policy, seed, recordBlocks: false });
	const { context, queries } = prompt;
	const question = queries[0]!;
	const tokens = questionAware ? Int32Array.from([...context, ...question.tokens]) : context;
	const count = numPrefilled ?? (cutsAsBlocksFill(policy) ? beforeLastFull(tokens.length, blockSize) : tokens.length);
	session.prefillSync(tokens.slice(0, count));
	if (count < tokens.length) session.feedSync(tokens.slice(count));
	let numRight = 0;
	if (questionAware) {
		numRight += Number(answer(session, { ...question, tokens: new Int32Array(0) }).correct);
	} else {
		for (const query of queries) numRight += Number(answer(session, query).correct);
	}
	const layers = Array.from({ length: model.config.numLayers }, (_, i) => session.layer(i));
	const mean = (value: (layer: (typeof layers)[number]) => number): number =>
		layers.reduce((sum, layer) => sum + value(layer), 0) / layers.length;
	return {
		score: numRight / (questionAware ? 1 : queries.length),
		liveTokens: mean((layer) => layer.kvLen),
		allocatedTokens: mean((layer) => layer.numBlocks * blockSize),
	};
}

/** Runs cases one after another; lets other work in between, so that a notebook can be interrupted and shows progress. */
export async function runCases<C, R>(
	cases: readonly C[],
	run: (each: C) => R | Promise<R>,
	{ onProgress, signal }: RunControl,
): Promise<R[]> {
	const results: R[] = [];
	const stop = withInterrupt(signal);
	let turnStart = performance.now();
	for (const each of cases) {
		stop?.throwIfAborted();
		results.push(await run(each));
		if (performance.now() - turnStart < turnMs) continue;
		onProgress?.(results.length, cases.length);
		await setImmediate();
		turnStart = performance.now();
	}
	onProgress?.(cases.length, cases.length);
	return results;
}
