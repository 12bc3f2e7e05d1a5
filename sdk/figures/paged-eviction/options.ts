// Options, checks and captions that the experiments share.

import { engineInfo } from "../../engine.js";
import { OctavoError, received } from "../../errors.js";
import type { Model } from "../../load-model.js";
import { recallTokens } from "../../model/tasks/context.js";
import { anything, type Check, checkOptions, instanceOf, integer } from "../../options.js";
import type { Contender } from "./contenders.js";
import type { ExperimentOptions } from "./evaluate.js";

function arrayOf<T>(
	what: string,
	holds: (value: unknown, i: number, all: unknown[]) => boolean,
): Check<readonly T[] | undefined> {
	return (value, name) => {
		if (value === undefined) return undefined;
		if (Array.isArray(value) && value.length > 0 && value.every(holds)) return value as T[];
		throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${what} for ${name} but received ${received(value)}`);
	};
}

/** Values of an axis, budgets or block sizes: each once, as points of one place are taken together. */
export const axisList = arrayOf<number>("an array of different positive whole numbers", (value, i, all) => {
	return Number.isInteger(value) && (value as number) > 0 && all.indexOf(value) === i;
});

/** Policies under comparison. */
export const contenderList: Check<readonly Contender[] | undefined> = (value, name) => {
	const list = arrayOf<Contender>("an array of { name, policy(budget, seed) }", (each) => {
		const { name, policy } = (each ?? {}) as Partial<Contender>;
		return typeof name === "string" && typeof policy === "function";
	})(value, name);
	const names = list?.map((contender) => contender.name) ?? [];
	const twice = names.find((each, i) => names.indexOf(each) !== i);
	if (twice === undefined) return list;
	// Points are told apart by name: two of one name would be averaged.
	const message = `Expected contenders of different names for ${name} but received two named ${received(twice)}`;
	throw new OctavoError("ERR_OCTAVO_OPTION", message);
};

/** Tokens that a model must know to be asked the tasks' questions. */
const taskVocabulary: number = recallTokens.filler[1];

/**
 * Checks what an experiment was called with.
 *
 * @param call name of its function
 * @param numTokens least vocabulary of the model
 * @throws {OctavoError} ERR_OCTAVO_OPTION for what is no model, one without the vocabulary, an unknown or wrong option
 */
export function checkExperiment<S extends Record<string, Check<unknown>>>(
	call: string,
	model: Model,
	options: unknown,
	checks: S,
	numTokens = taskVocabulary,
) {
	const owner = `figures.${call}()`;
	if (typeof model?.session !== "function" || !model.config) {
		const expected = `a model, as loadModel() gives it, for the first argument of ${owner}`;
		throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} but received ${received(model)}`);
	}
	const { vocabSize } = model.config;
	if (vocabSize < numTokens) {
		const expected = `a model that knows the tasks' ${numTokens} tokens for ${owner}`;
		throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} but received one with ${vocabSize}`);
	}
	return checkOptions(owner, options, checks);
}

/** Checks that every experiment shares. */
export function sharedChecks(numPrompts: number) {
	return {
		numPrompts: integer(1, 1e6, numPrompts),
		firstSeed: integer(0, 2 ** 40, 1000),
		onProgress: anything as Check<((done: number, total: number) => void) | undefined>,
		signal: instanceOf(AbortSignal),
	};
}

/** Seeds of an experiment's prompts. */
export function promptSeeds({ numPrompts, firstSeed }: { numPrompts: number; firstSeed: number }): number[] {
	return Array.from({ length: numPrompts }, (_, i) => firstSeed + i);
}

/** Options of experiments that decode one sequence a policy, so that no number of prompts makes sense. */
export interface SequenceOptions extends Omit<ExperimentOptions, "numPrompts"> {
	/** KV tokens kept a layer. Default 64. */
	budget?: number;
	/** Slots a block, from 1 to 256. Default 8. */
	blockSize?: number;
	/** Tokens decoded after a prompt of 128. Default 256. */
	numTokens?: number;
}

/** Their checks, and that of the policies. */
export function sequenceChecks() {
	const { numPrompts: _, ...shared } = sharedChecks(1);
	return {
		...shared,
		budget: integer(1, 2 ** 31 - 1, 64),
		blockSize: integer(1, 256, 8),
		numTokens: integer(1, 2 ** 20, 256),
		policies: contenderList,
	};
}

/** Where an experiment was measured, and what it is not. */
export function measuredOn(model: Model): string {
	return `Measured with ${model.name} on this machine's CPU (${engineInfo().simd}), exact match of both tokens. A stand-in task on a small model: mechanism, not the paper's ranking.`;
}
