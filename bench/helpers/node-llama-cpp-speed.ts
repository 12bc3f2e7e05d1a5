// One measurement of node-llama-cpp's prebuilt library in a process of its own; prints tokens per second. It is no
// dependency of ours, so it is imported from the folder given and described here as far as used. Arguments: installed
// package's folder, GGUF file, threads, phase (prefill, decode), tokens of the prompt, decoded tokens.

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

const [packageFolder = "", modelPath = "", threadsText = "2", phase = "decode", lengthText = "128", tokensText = "24"] =
	process.argv.slice(2);
const threads = Number(threadsText);
const numTokens = Number(tokensText);
const length = Number(lengthText);
const library = (await import(pathToFileURL(join(packageFolder, "dist", "index.js")).href)) as Library;
const llama = await library.getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: "error" });
const model = await llama.loadModel({ modelPath });
const contextSize = Math.max(512, length) + numTokens + 8;
const context = await model.createContext({ contextSize, threads, batchSize: 512 });
const sequence = context.getSequence();
const prompt = Array.from({ length }, (_, i) => ((i * 7919) % 31_000) + 300);

async function prefillSpeed(): Promise<number> {
	await sequence.clearHistory();
	const start = performance.now();
	await sequence.evaluateWithoutGeneratingNewTokens(prompt);
	return (length * 1000) / (performance.now() - start);
}

async function decodeSpeed(): Promise<number> {
	await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(0, -1));
	let start = 0;
	let count = -1; // the first token warms up
	for await (const _ of sequence.evaluate(prompt.slice(-1), { temperature: 0, yieldEogToken: true })) {
		if (++count === 0) start = performance.now();
		if (count === numTokens) break;
	}
	return (count * 1000) / (performance.now() - start);
}

if (phase === "prefill") await prefillSpeed(); // the first touch of the mapped weights
const measured = phase === "prefill" ? await prefillSpeed() : await decodeSpeed();
process.stdout.write(`${measured}\n`);
await context.dispose();
await llama.dispose();
process.exit(0); // its worker threads would keep the process
