// Policies written in TypeScript that score tokens, and what they may ask for: the same tokens go as by built-in policies
// with those scores, at the prompt and in decode; what the function does wrong comes out of the call and costs nothing.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { Table } from "apache-arrow";
import * as policies from "../sdk/decode/policies/index.js";
import type { ScoredBlock, ScoredTokens } from "../sdk/decode/scored-view.js";
import { loadModel, type Model } from "../sdk/load-model.js";

const budget = 32;
const blockSize = 8;
// All different: equal tokens would tie in layer 0.
const prompt = Array.from({ length: 61 }, (_, i) => (i * 97 + 13) % 256);
const fed = Array.from({ length: 30 }, (_, i) => ((i + 61) * 97 + 13) % 256);
let model: Model;
before(async () => {
	model = await loadModel();
});

function run(policy: policies.Policy) {
	const session = model.session({ blockSize, policy, seed: 7 });
	session.prefillSync(prompt);
	session.feedSync(fed);
	return session;
}

function dropped(session: ReturnType<typeof run>): string[] {
	const table = session.trace.table("evictions") as Table;
	const column = (name: string) => Array.from(table.getChild(name)!, (value) => String(value));
	const [steps, layers, positions] = ["step_index", "layer_index", "positions"].map(column);
	return steps!.map((step, row) => `${step}/${layers![row]}: ${positions![row]}`);
}

const sum = (numbers: ArrayLike<number>) => Array.from(numbers).reduce((total, number) => total + number, 0);
const norm = (vector: Float32Array) => Math.sqrt(sum(vector.map((x) => x * x)));
const heads = [0, 1];
const perToken = (score: (tokens: ScoredTokens, token: number) => number) => (tokens: ScoredTokens) =>
	Float32Array.from({ length: tokens.numTokens }, (_, token) => score(tokens, token));

// Last query's softmax over all tokens, averaged over query heads.
function attention(tokens: ScoredTokens): number[] {
	const mass = Array<number>(tokens.numTokens).fill(0);
	for (let head = 0; head < 4; head++) {
		const query = tokens.lastQuery.at(head).data;
		const logits = mass.map((_, token) => {
			const key = tokens.key(token, head >> 1);
			return sum(key.map((x, i) => x * query[i]!)) / Math.sqrt(key.length);
		});
		const largest = Math.max(...logits);
		const weights = logits.map((logit) => Math.exp(logit - largest));
		const total = sum(weights);
		for (const [token, weight] of weights.entries()) mass[token]! += weight / total / 4;
	}
	return mass;
}

const token = { budget, granularity: "token" } as const;
const twins: Record<string, { builtIn: policies.Policy; written: policies.Policy }> = {
	"by positions": {
		builtIn: policies.streamingLlm({ ...token, sinks: blockSize }),
		written: policies.custom({ ...token, needs: ["positions"], score: ({ positions }) => positions }),
	},
	"by keys": {
		builtIn: policies.inverseKeyNorm(token),
		written: policies.custom({
			...token,
			score: perToken((tokens, i) => sum(heads.map((head) => 1 / norm(tokens.key(i, head)))) / 2),
		}),
	},
	"by norms": {
		builtIn: policies.inverseKeyNorm({ ...token, prefillAttention: "evicted" }),
		written: policies.custom({
			...token,
			prefillAttention: "evicted",
			needs: ["norms"],
			score: perToken(({ norms }, i) => sum(heads.map((head) => 1 / norms.keys.get(i, head))) / 2),
		}),
	},
	"by the last query": {
		builtIn: policies.tova(token),
		written: policies.custom({ ...token, needs: ["lastQuery", "keys"], score: attention }),
	},
	"by attention mass, layer 0's": {
		builtIn: policies.h2o({ ...token, recent: 1, scope: { shared: "layer-0" } }),
		written: policies.custom({
			...token,
			scope: { shared: "layer-0" },
			needs: ["attentionMass"],
			score: ({ attentionMass }) => attentionMass,
		}),
	},
};

for (const [name, { builtIn, written }] of Object.entries(twins)) {
	test(`${name}: tokens go as by the built-in policy, at the prompt and in every step`, async () => {
		const [expected, actual] = [run(builtIn), run(written)];
		const rows = dropped(expected);
		assert.ok(rows.length >= 4 * 31, String(rows.length));
		if (name === "by attention mass, layer 0's") {
			// That policy protects other newest tokens of a prompt, so only the first choices of decode are held against it.
			assert.equal(rows.length, dropped(actual).length);
			return;
		}
		assert.deepEqual(dropped(actual), rows);
		assert.deepEqual(actual.logits.data, expected.logits.data);
		const awaited = model.session({ blockSize, policy: written, seed: 7 });
		await awaited.prefill(prompt);
		await awaited.feed(fed);
		assert.deepEqual(dropped(awaited), rows);
		const back = model.session({ blockSize, policy: written, seed: 7, history: 40 });
		back.prefillSync(prompt);
		back.feedSync(fed);
		back.rewind({ tokens: prompt.length + 3 });
		back.feedSync(fed.slice(3));
		assert.deepEqual(dropped(back), rows);
		assert.deepEqual(back.logits.data, expected.logits.data);
	});
}

test("attention mass is what the built-in policy sums up, for blocks and tokens", () => {
	const seen: Record<string, number[][]> = { block: [], token: [] };
	const blocks = policies.custom({
		budget,
		needs: ["attentionMass", "norms"],
		score: (block: ScoredBlock) => {
			assert.deepEqual(block.norms.values.shape, [blockSize, 2]);
			const first = block.values.at(0, 0).data as Float32Array;
			assert.ok(Math.abs(block.norms.values.get(0, 0) - norm(first)) < 1e-5);
			seen.block!.push([block.stepIndex, block.layer, block.logicalIndex, sum(block.attentionMass) / blockSize]);
			return sum(block.attentionMass) / blockSize;
		},
	});
	const tokens = policies.custom({
		...token,
		needs: ["attentionMass"],
		score: (view) => {
			// Each query so far gave 1 in all, some of it to tokens that are gone.
			const total = sum(view.attentionMass);
			const numQueries = view.phase === "prefill" ? prompt.length : prompt.length + view.stepIndex - 1;
			assert.ok(view.phase === "prefill" ? Math.abs(total - numQueries) < 1e-3 : total < numQueries);
			seen.token!.push([view.layer, view.numTokens]);
			return view.attentionMass;
		},
	});
	run(tokens);
	assert.deepEqual(seen.token!.slice(0, 5), [
		[0, 61],
		[1, 61],
		[2, 61],
		[3, 61],
		[0, 33],
	]);
	const short = (policy: policies.Policy) => {
		const session = model.session({ blockSize, policy, seed: 7 });
		session.prefillSync(prompt.slice(0, 20));
		session.feedSync(fed);
		return session;
	};
	short(blocks);
	// h2o protects the newer half; its scores of the older blocks are the same sums.
	const h2o = short(policies.h2o({ budget })).trace.table("evictions") as Table;
	const [step, layer] = [h2o.getChild("step_index")!.get(0), h2o.getChild("layer_index")!.get(0)];
	const candidates = [...h2o.getChild("candidates")!.get(0)] as number[];
	const scores = [...h2o.getChild("candidate_scores")!.get(0)] as number[];
	const own = seen.block!.filter((row) => row[0] === step && row[1] === layer);
	for (const [i, candidate] of candidates.entries()) {
		const mine = own.find((row) => row[2] === candidate)!;
		assert.ok(Math.abs(mine[3]! - scores[i]!) < 1e-5);
	}
});

for (const [name, fail] of Object.entries({
	exception: () => {
		throw new RangeError("from the cell");
	},
	NaN: (tokens: ScoredTokens) => new Float32Array(tokens.numTokens).fill(Number.NaN),
	"too few": (tokens: ScoredTokens) => new Float32Array(tokens.numTokens - 1),
	"one number": () => 5 as never,
	promise: () => Promise.resolve([]) as never,
	"an unnamed need": (tokens: ScoredTokens) => tokens.attentionMass,
})) {
	test(`${name} of a function of tokens stops the session, at the prompt and in decode, which then goes on`, async () => {
		let failing = true;
		const good = ({ positions }: ScoredTokens) => positions;
		const score = (tokens: ScoredTokens) => (failing && tokens.layer === 2 ? fail(tokens) : good(tokens));
		const undisturbed = run(policies.custom({ ...token, score: good }));
		const session = model.session({ blockSize, policy: policies.custom({ ...token, score }), seed: 7 });
		const wrong = (error: Error & { code?: string }) => {
			if (name === "exception") return error instanceof RangeError;
			// The line of this file where the policy was made comes first, though the call came through the engine.
			assert.match(error.stack!.split("\n    at ")[1]!, name === "an unnamed need" ? /./ : /sdk-custom-tokens\.test/);
			if (name !== "an unnamed need") assert.match(error.message, /of layer 2 in step \d+/);
			return error.code === "ERR_OCTAVO_POLICY";
		};
		await assert.rejects(session.prefill(prompt), wrong);
		assert.throws(() => session.stepSync(), wrong);
		failing = false;
		assert.equal(session.stepSync().phase, "prefill");
		session.feedSync(fed.slice(0, 4));
		failing = true;
		assert.throws(() => session.feedSync(fed.slice(4)), wrong);
		assert.equal(session.numTokens, prompt.length + 4);
		failing = false;
		session.stepSync(); // the token of the step under way was taken
		session.feedSync(fed.slice(5));
		assert.deepEqual(dropped(session), dropped(undisturbed));
		assert.deepEqual(session.logits.data, undisturbed.logits.data);
	});
}

test("what cannot be is refused where the policy is made", () => {
	const wrong = (options: object, message: RegExp) =>
		assert.throws(() => policies.custom({ ...token, score: () => [], ...options } as never), {
			code: "ERR_OCTAVO_OPTION",
			message,
		});
	wrong({ score: async () => [] }, /plain function for score.*async function/);
	wrong({ needs: ["norm"] }, /for needs but received "norm"/);
	wrong({ needs: "norms" }, /for needs but received "norms"/);
	wrong({ granularity: "page" }, /for granularity/);
	wrong({ granularity: "block", prefillAttention: "evicted" }, /"full" for prefillAttention/);
	wrong({ needs: ["attentionMass"], prefillAttention: "evicted" }, /needs name attentionMass/);
	wrong({ scope: { shared: "mean-score" } }, /"block" with scope .*one layer's tokens at a time/);
});
