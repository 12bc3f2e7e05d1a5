// One measurement of octavo in a process of its own, as llama-bench is: opens a model folder, prefills and decodes, and
// prints the speeds as JSON. Arguments: folder, threads, decoded tokens, contexts joined by commas, type of keys and values.

import { loadModel, type Policy, policies, type SessionOptions, setNumThreads } from "octavo";

const [folder = "", threads = "2", tokens = "24", contexts = "128", keysAndValues = "f32"] = process.argv.slice(2);
const kvDtype = keysAndValues as NonNullable<SessionOptions["kvDtype"]>;
const numTokens = Number(tokens);
const promptLength = 512;
const numWarmUpTokens = 4;
setNumThreads(Number(threads));
using model = await loadModel(folder);
const prompt = (length: number) => Int32Array.from({ length }, (_, i) => (i * 7919 + 13) % model.config.vocabSize);

function prefillSpeed(): number {
	const session = model.session({ policy: policies.full(), numBlocks: promptLength / 16 + 1, kvDtype });
	const start = performance.now();
	session.prefillSync(prompt(promptLength));
	const seconds = (performance.now() - start) / 1000;
	session.close();
	return promptLength / seconds;
}

function decodeSpeed(context: number, policy: Policy): number {
	const numBlocks = Math.ceil((context + numTokens + numWarmUpTokens) / 16) + 1;
	const session = model.session({ policy, numBlocks, kvDtype });
	session.prefillSync(prompt(context));
	session.runSync({ maxTokens: numWarmUpTokens, endTokens: [] });
	const start = performance.now();
	session.runSync({ maxTokens: numTokens, endTokens: [] });
	const seconds = (performance.now() - start) / 1000;
	session.close();
	return numTokens / seconds;
}

prefillSpeed(); // the first touch of the mapped weights
const prefill = prefillSpeed();
const list = contexts.split(",").map(Number);
const decode = Object.fromEntries(list.map((context) => [context, decodeSpeed(context, policies.full())]));
const evicting = decodeSpeed(list.at(-1)!, policies.pagedEviction({ budget: 256 }));
process.stdout.write(`${JSON.stringify({ prefill, decode, evicting })}\n`);
