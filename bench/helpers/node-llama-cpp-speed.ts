// One measurement of node-llama-cpp's prebuilt library in a process of its own. It is no dependency of ours, so it is
// imported from the folder given and described here as far as used. Arguments: installed package's folder, GGUF file,
// threads, decoded tokens, contexts joined by commas.

import { join } from "node:path";
import { pathToFileURL } from "node:url";

interface Sequence {
	evaluateWithoutGeneratingNewTokens(tokens: number[]): Promise<void>;
	evaluate(tokens: number[], options: object): AsyncIterable<number>;
	clearHistory(): Promise<void>;
}
interface Library {
	getLlama(options: object): Promise<{
		loadModel(options: object): Promise<{
			createContext(options: object): Promise<{ getSequence(): Sequence; dispose(): Promise<void> }>;
		}>;
		dispose(): Promise<void>;
	}>;
}

const [packageFolder = "", modelPath = "", threadsText = "2", tokensText = "24", contexts = "128"] =
	process.argv.slice(2);
const threads = Number(threadsText);
const numTokens = Number(tokensText);
const list = contexts.split(",").map(Number);
const library = (await import(pathToFileURL(join(packageFolder, "dist", "index.js")).href)) as Library;
const llama = await library.getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: "error" });
const model = await llama.loadModel({ modelPath });
const contextSize = Math.max(512, ...list) + numTokens + 8;
const context = await model.createContext({ contextSize, threads, batchSize: 512 });
const sequence = context.getSequence();
const prompt = (length: number) => Array.from({ length }, (_, i) => ((i * 7919) % 31_000) + 300);

async function prefillSpeed(): Promise<number> {
	await sequence.clearHistory();
	const start = performance.now();
	await sequence.evaluateWithoutGeneratingNewTokens(prompt(512));
	return (512 * 1000) / (performance.now() - start);
}

async function decodeSpeed(length: number): Promise<number> {
	await sequence.clearHistory();
	const tokens = prompt(length);
	await sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(0, -1));
	let start = 0;
	let count = -1; // the first token warms up
	for await (const _ of sequence.evaluate(tokens.slice(-1), { temperature: 0, yieldEogToken: true })) {
		if (++count === 0) start = performance.now();
		if (count === numTokens) break;
	}
	return (count * 1000) / (performance.now() - start);
}

await prefillSpeed(); // the first touch of the mapped weights
const prefill = await prefillSpeed();
const decode: Record<number, number> = {};
for (const length of list) decode[length] = await decodeSpeed(length);
process.stdout.write(`${JSON.stringify({ prefill, decode })}\n`);
await context.dispose();
await llama.dispose();
process.exit(0); // its worker threads would keep the process
