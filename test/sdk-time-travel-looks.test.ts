// What is looked at in between: patterns against a float64 softmax, comparisons against ones computed by hand, and a
// stop before a NaN.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { comparison } from "../sdk/chart/comparison.js";
import { pagedEviction, streamingLlm } from "../sdk/decode/policies/index.js";
import type { Session } from "../sdk/decode/session.js";
import { loadModel, type Model } from "../sdk/load-model.js";
import { recall } from "../sdk/model/tasks/recall.js";
import { compare } from "../sdk/trace/compare.js";
import { Trace } from "../sdk/trace/trace.js";

const prompt = recall({ seed: 5, contextLength: 100 }).context;
let model: Model;
before(async () => {
	model = await loadModel();
});

// Layer 0's input is the embedding: its last query follows from the weights alone.
function queryOfLayer0(token: number, position: number): Float64Array {
	const { hiddenSize, numQueryHeads, headDim, rmsNormEps, ropeTheta } = model.config;
	const weight = (name: string) => model.weight(name).toFloat32();
	const x = weight("model.embed_tokens.weight").subarray(token * hiddenSize, (token + 1) * hiddenSize);
	const norm = weight("model.layers.0.input_layernorm.weight");
	const scale = 1 / Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / hiddenSize + rmsNormEps);
	const projection = weight("model.layers.0.self_attn.q_proj.weight");
	const query = Float64Array.from({ length: numQueryHeads * headDim }, (_, row) =>
		x.reduce((sum, value, i) => sum + value * scale * norm[i]! * projection[row * hiddenSize + i]!, 0),
	);
	for (let head = 0; head < numQueryHeads; head++) {
		for (let i = 0; i < headDim / 2; i++) {
			const angle = position * ropeTheta ** ((-2 * i) / headDim);
			const [low, high] = [head * headDim + i, head * headDim + i + headDim / 2];
			const [a, b] = [query[low]!, query[high]!];
			query[low] = a * Math.cos(angle) - b * Math.sin(angle);
			query[high] = b * Math.cos(angle) + a * Math.sin(angle);
		}
	}
	return query;
}

function requirePattern(session: Session, query: Float64Array): void {
	const { numQueryHeads, numKvHeads, headDim } = model.config;
	const layer = session.layer(0);
	for (let head = 0; head < numQueryHeads; head++) {
		const kvHead = Math.floor((head * numKvHeads) / numQueryHeads);
		const logits = layer.blocks.flatMap((block) =>
			Array.from(block.positions, (_, slot) => {
				const key = block.keys.at(kvHead, slot).data as Float32Array;
				return (
					key.reduce((sum: number, k: number, i: number) => sum + k * query[head * headDim + i]!, 0) /
					Math.sqrt(headDim)
				);
			}),
		);
		const max = Math.max(...logits);
		const sum = logits.reduce((total, logit) => total + Math.exp(logit - max), 0);
		const pattern = layer.pattern({ head });
		assert.deepEqual(pattern.shape, [layer.kvLen]);
		logits.forEach((logit, slot) => {
			assert.ok(Math.abs(pattern.get(slot) - Math.exp(logit - max) / sum) < 1e-5, `head ${head}, slot ${slot}`);
		});
	}
	assert.deepEqual(layer.pattern().shape, [numQueryHeads, layer.kvLen]);
}

test("a pattern is the softmax over live slots, after steps, at a stop, in forks and after a rewind", () => {
	const session = model.session({ blockSize: 8, policy: pagedEviction({ budget: 32 }), history: 8, forks: 1 });
	assert.throws(() => session.layer(0).pattern(), { code: "ERR_OCTAVO_PATTERN" });
	session.prefillSync(prompt);
	assert.throws(() => session.layer(0).pattern(), { code: "ERR_OCTAVO_PATTERN" }); // it saw what was dropped
	const queries = session.feedSync([40, 150, 41, 151, 42]).map(({ token, position }) => queryOfLayer0(token, position));
	requirePattern(session, queries[4]!);
	requirePattern(session.fork(), queries[4]!);
	session.rewind({ tokens: 102 });
	requirePattern(session, queries[1]!);
	assert.throws(() => session.layer(0).pattern({ head: 99 }), { code: "ERR_OCTAVO_OPTION" });

	session.breakOn("evict");
	const stop = session.runSync({ maxTokens: 20 });
	assert.ok(stop.reason === "breakpoint" && stop.event.kind === "evict" && stop.event.layer === 0);
	// The token under way is the likeliest after the last step, at the next position; nothing has gone yet.
	requirePattern(session, queryOfLayer0(session.topTokens(1)[0]!.token, session.numTokens));
	assert.equal(session.layer(0).pattern().shape[1], 40);
	session.stepSync();
	requirePattern(session, queryOfLayer0(session.tokens.at(-1)!, session.numTokens - 1));
	assert.equal(session.layer(0).pattern().shape[1], 32);
});

test("runs compare as computed by hand, from sessions and from traces", () => {
	const steps = (tokens: number[]) => ({
		step_index: tokens.map((_, i) => i),
		phase: tokens.map((_, i) => (i === 0 ? "prefill" : "decode")),
		token_id: tokens,
		position_index: tokens.map((_, i) => 9 + i),
		num_tokens: tokens.map((_, i) => (i === 0 ? 10 : 1)),
		forced: tokens.map(() => false),
		...Object.fromEntries(["token_logprob", "entropy"].map((name) => [name, tokens.map(() => 0)])),
		...Object.fromEntries(["total", "attention", "score", "evict"].map((n) => [`${n}_us`, tokens.map(() => 0)])),
	});
	const run = (tokens: number[], probabilities: number[][]) =>
		Trace.from({
			steps: steps(tokens),
			logits: {
				step_index: tokens.map((_, i) => i),
				logits: probabilities.map((row) => row.map((p) => 3 + Math.log(p))),
			},
		});
	const a = run(
		[1, 2, 0],
		[
			[0.5, 0.25, 0.25],
			[0.5, 0.25, 0.25],
			[0.1, 0.1, 0.8],
		],
	);
	const b = run(
		[1, 2, 1],
		[
			[0.5, 0.25, 0.25],
			[0.25, 0.5, 0.25],
			[0.8, 0.1, 0.1],
		],
	);
	const compared = compare([a, b], { k: 1, names: ["a", "b"] });
	const column = (name: "kl_divergence" | "logprob_gap" | "top_k_overlap" | "diverged" | "position_index") =>
		Array.from(compared.table.getChild(name)! as Iterable<number | boolean>);
	const close = (actual: unknown[], expected: number[]) =>
		expected.forEach((value, i) => {
			assert.ok(Math.abs((actual[i] as number) - value) < 1e-6, `${actual[i]} is not ${value}`);
		});
	close(column("kl_divergence"), [0, 0.25 * Math.log(2), 0.7 * Math.log(8)]);
	close(column("logprob_gap"), [0, Math.log(2), Math.log(8)]);
	assert.deepEqual(column("top_k_overlap"), [1, 0, 0]);
	assert.deepEqual(column("diverged"), [false, false, true]);
	assert.deepEqual(column("position_index"), [9, 10, 11]);
	assert.deepEqual(compared.divergences, [{ run: "b", position: 11, token: 1, referenceToken: 0 }]);
	const figure = comparison(compared);
	assert.deepEqual(figure.data[0]!.x, [9, 10, 11]);
	assert.equal((figure.layout.shapes as { x0: number }[])[0]!.x0, 11);

	const session = model.session({ blockSize: 8, recordLogits: true, forks: 2 });
	session.prefillSync(prompt);
	const [same, cut] = [session.fork(), session.fork({ policy: streamingLlm({ budget: 32 }) })];
	for (const each of [session, same, cut]) each.runSync({ maxTokens: 24 });
	const real = compare([session, same, cut]);
	assert.deepEqual(real.runs, ["full 2", "streaming-llm"]);
	const kl = real.table.getChild("kl_divergence")!.toArray();
	assert.ok(
		kl.subarray(0, 25).every((value) => value === 0),
		"a fork of the same policy is the same run",
	);
	assert.ok(Math.max(...kl.subarray(25)) > 0.01, "a cut cache is not");
	assert.equal(real.divergences[0]!.position, undefined);
	for (const wrong of [[session], 3, [session, {}]]) {
		assert.throws(() => compare(wrong as never), { code: "ERR_OCTAVO_COMPARE" });
	}
	const silent = model.session();
	silent.prefillSync(prompt);
	assert.throws(() => compare([session, silent]), { code: "ERR_OCTAVO_COMPARE" });
});

test("a nan breakpoint stops before the step fails; going on fails it and leaves the session as it was", async () => {
	const poisoned = await loadModel();
	const values = poisoned.weight("model.layers.2.self_attn.v_proj.weight");
	const session = poisoned.session({ blockSize: 8 });
	session.prefillSync(prompt);
	session.stepSync();
	const { kvLen } = session.layer(1);
	(values.data as Float32Array)[0] = Number.NaN;
	const breakpoint = session.breakOn("nan");
	const stop = session.runSync({ maxTokens: 2 });
	assert.ok(stop.reason === "breakpoint" && stop.event.kind === "nan");
	assert.deepEqual(
		{ ...stop.event },
		{ kind: "nan", stepIndex: 2, layer: 2, tensor: "value", position: 101, kvHead: 0 },
	);
	assert.equal(session.layer(1).kvLen, kvLen + 1);
	assert.throws(() => session.stepSync(), { code: "ERR_OCTAVO_NAN" });
	assert.equal(session.layer(1).kvLen, kvLen);
	breakpoint.remove();
	session.close();
});
