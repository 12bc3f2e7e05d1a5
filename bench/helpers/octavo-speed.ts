// One measurement of octavo in a process of its own, as llama-bench is: opens a model folder, prefills or decodes, and
// prints tokens per second. Arguments: folder, threads, phase (prefill, decode, evicting), tokens of the prompt, decoded
// tokens, type of keys and values.

import { loadModel, type Policy, policies, type SessionOptions, setNumThreads } from "octavo";

const [folder = "", threads = "2", phase = "decode", length = "128", tokens = "24", keysAndValues = "f32"] =
	process.argv.slice(2);
const kvDtype = keysAndValues as NonNullable<SessionOptions["kvDtype"]>;
const numTokens = Number(tokens);
const context = Number(length);
const numWarmUpTokens = 4;
setNumThreads(Number(threads));
using model = await loadModel(folder);
const prompt = Int32Array.from({ length: context }, (_, i) => (i * 7919 + 13) % model.config.vocabSize);

function prefillSpeed(): number {
	const session = model.session({ policy: policies.full(), numBlocks: Math.ceil(context / 16) + 1, kvDtype });
	const start = performance.now();
	session.prefillSync(prompt);
	const seconds = (performance.now() - start) / 1000;
	session.close();
	return context / seconds;
}

function decodeSpeed(policy: Policy): number {
	const numBlocks = Math.ceil((context + numTokens + numWarmUpTokens) / 16) + 1;
	const session = model.session({ policy, numBlocks, kvDtype });
	session.prefillSync(prompt);
	session.runSync({ maxTokens: numWarmUpTokens, endTokens: [] });
	const start = performance.now();
	session.runSync({ maxTokens: numTokens, endTokens: [] });
	const seconds = (performance.now() - start) / 1000;
	session.close();
	return numTokens / seconds;
}

if (phase === "prefill") prefillSpeed(); // the first touch of the mapped weights
const measured =
	phase === "prefill"
		? prefillSpeed()
		: decodeSpeed(phase === "evicting" ? policies.pagedEviction({ budget: 256 }) : policies.full());
process.stdout.write(`${measured}\n`);
