// Options: misspelt ones are named back, values are checked, policies refuse what no session could use.

import assert from "node:assert/strict";
import { test } from "node:test";
import { checkSession } from "../sdk/decode/options.js";
import * as policies from "../sdk/decode/policies/index.js";
import { checkSampling } from "../sdk/decode/sampling.js";
import { parseConfig } from "../sdk/model/config.js";
import { boolean, checkOptions, integer, nearest, oneOf } from "../sdk/options.js";
import { tinyConfig } from "./helpers/checkpoint.js";

const checks = { blockSize: integer(1, 256, 16), mode: oneOf(["a", "b"], "a"), record: boolean(true) };

test("fills in defaults and keeps what is given", () => {
	assert.deepEqual(checkOptions("f()", undefined, checks), { blockSize: 16, mode: "a", record: true });
	assert.deepEqual(checkOptions("f()", { mode: "b", record: false }, checks), {
		blockSize: 16,
		mode: "b",
		record: false,
	});
});

test("names a misspelt option back with the nearest", () => {
	const code = "ERR_OCTAVO_OPTION";
	assert.throws(() => checkOptions("f()", { blocksize: 8 }, checks), {
		code,
		message: /received blocksize; did you mean blockSize\?/,
	});
	assert.throws(() => checkOptions("f()", { zzzzzz: 8 }, checks), { code, message: /received zzzzzz$/ });
	assert.throws(() => checkOptions("f()", { toString: 8 }, checks), { code, message: /received toString/ });
	assert.throws(() => checkOptions("f()", [], checks), { code, message: /options object for f\(\)/ });
	assert.throws(() => checkOptions("f()", { blockSize: 0 }, checks), {
		code,
		message: /from 1 to 256 for blockSize but received 0/,
	});
	assert.throws(() => checkOptions("f()", { blockSize: "8" }, checks), { code });
	assert.throws(() => checkOptions("f()", { mode: "c" }, checks), {
		code,
		message: /"a", "b" for mode but received "c"/,
	});
	assert.throws(() => checkOptions("f()", { record: 1 }, checks), { code });
	assert.equal(nearest("bugdet", ["seed", "budget"]), "budget");
	assert.equal(nearest("colour", ["seed", "budget"]), undefined);
});

test("policies are values with checked options", () => {
	assert.deepEqual(policies.full(), { name: "full" });
	assert.deepEqual(policies.streamingLlm({ budget: 64 }), { name: "streaming-llm", budget: 64 });
	assert.deepEqual(policies.random({ budget: 64 }), { name: "random", budget: 64 });
	assert.deepEqual(policies.random({ budget: 64, seed: 0 }), { name: "random", budget: 64, seed: 0 });
	assert.deepEqual(policies.pagedEviction({ budget: 64 }), {
		...{ name: "paged-eviction", budget: 64, score: "value-key-ratio", candidates: "global", tailProtect: "page" },
	});
	assert.deepEqual(policies.inverseKeyNorm({ budget: 64 }), { name: "inverse-key-norm", budget: 64 });
	assert.deepEqual(policies.keyDiff({ budget: 64 }), { name: "key-diff", budget: 64 });
	assert.deepEqual(policies.tova({ budget: 64 }), { name: "tova", budget: 64 });
	assert.deepEqual(policies.h2o({ budget: 64 }), { name: "h2o", budget: 64 });
	assert.deepEqual(policies.snapKv({ budget: 64 }), { name: "snap-kv", budget: 64 });
	assert.deepEqual(policies.snapKv({ budget: 64, window: 16 }), { name: "snap-kv", budget: 64, window: 16 });
	assert.throws(() => policies.snapKv({ budget: 64, window: 0 }), { code: "ERR_OCTAVO_OPTION" });
	assert.ok(Object.isFrozen(policies.full()));
	const wrong = (options: object) => options as { budget: number };
	for (const policy of [
		policies.pagedEviction,
		policies.streamingLlm,
		policies.inverseKeyNorm,
		policies.keyDiff,
		policies.snapKv,
		policies.tova,
		policies.h2o,
		policies.random,
	]) {
		for (const budget of [undefined, 0, -16, 1.5, Number.NaN, "64"]) {
			assert.throws(() => policy(wrong({ budget })), { code: "ERR_OCTAVO_BUDGET" });
		}
		assert.throws(() => policy(wrong({ bugdet: 64 })), { code: "ERR_OCTAVO_OPTION", message: /did you mean budget/ });
	}
	assert.throws(() => policies.full(wrong({ budget: 64 }) as never), { code: "ERR_OCTAVO_OPTION" });
	assert.throws(() => policies.pagedEviction({ budget: 64, score: "norm" as never }), { code: "ERR_OCTAVO_OPTION" });
});

test("a session's options are checked against its model", () => {
	const config = parseConfig(tinyConfig);
	const spec = checkSession({ blockSize: 8, policy: policies.pagedEviction({ budget: 32 }) }, config);
	assert.equal(spec.blockSize, 8);
	assert.ok(spec.numBlocks >= 32 / 8 + 1 && spec.numBlocks < 128 / 8, `${spec.numBlocks}`);
	assert.equal(checkSession({}, config).numBlocks, 128 / 16);
	const code = "ERR_OCTAVO_BUDGET";
	const at = (blockSize: number, budget: number) => () =>
		checkSession({ blockSize, policy: policies.random({ budget }) }, config);
	assert.throws(at(16, 100), { code, message: "Expected a multiple of blockSize (16) for budget but received 100" });
	assert.throws(at(16, 32), { code, message: /at least three blocks \(48 tokens\)/ });
	assert.doesNotThrow(at(16, 48));
	assert.equal(checkSession({ policy: policies.snapKv({ budget: 48 }) }, config).numBlocks, 128 / 16);
	assert.throws(() => checkSession({ policy: "full" }, config), { code: "ERR_OCTAVO_OPTION" });
	assert.throws(() => checkSession({ polcy: policies.full() }, config), { message: /did you mean policy/ });
});

test("sampling is greedy unless told otherwise", () => {
	assert.deepEqual(checkSampling(undefined), { temperature: 0, topK: 0, topP: 1 });
	assert.deepEqual(checkSampling({ temperature: 0.7, topK: 40 }), { temperature: 0.7, topK: 40, topP: 1 });
	for (const wrong of [{ temperature: -1 }, { temperature: Number.NaN }, { topK: 1.5 }, { topP: 0 }, { topP: 1.1 }]) {
		assert.throws(() => checkSampling(wrong), { code: "ERR_OCTAVO_OPTION" });
	}
});
