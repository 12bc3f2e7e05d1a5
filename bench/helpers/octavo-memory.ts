// One run of octavo in a process of its own that tells its peak of resident memory: of the runtime alone (everything
// loaded, a tiny model run), and after a prompt and some decoded tokens of the model. Arguments: folder, that of
// the tiny model, prompt length, type of the cache, policy.

import { readFileSync } from "node:fs";
import { engineInfo, loadModel, type Policy, policies } from "octavo";

const [folder = "", tinyFolder = "", length = "512", type = "f32", policyName = "full"] = process.argv.slice(2);
const kvDtype = type as "f32" | "bf16" | "f16";
const budget = 1024;
const policyOf: Record<string, () => Policy> = {
	full: () => policies.full(),
	"streaming-llm": () => policies.streamingLlm({ budget }),
	"paged-eviction": () => policies.pagedEviction({ budget }),
	"paged-eviction, evicted": () => policies.pagedEviction({ budget, prefillAttention: "evicted" }),
	"paged-eviction, per head": () => policies.pagedEviction({ budget, heads: "per-head" }),
	"key-diff": () => policies.keyDiff({ budget }),
	h2o: () => policies.h2o({ budget }),
	"snap-kv": () => policies.snapKv({ budget }),
	"paged-eviction, mean of layers": () => policies.pagedEviction({ budget, scope: { shared: "mean-score" } }),
};

/** Highest resident memory so far, in bytes. */
function peakBytes(): number {
	return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))![1]) * 1024;
}

function run(model: Awaited<ReturnType<typeof loadModel>>, promptLength: number): number {
	const session = model.session({ policy: policyOf[policyName]!(), kvDtype });
	session.prefillSync(Int32Array.from({ length: promptLength }, (_, i) => (i * 7919 + 13) % model.config.vocabSize));
	session.runSync({ maxTokens: 16, endTokens: [] });
	const { numLayers, numKvHeads, headDim } = model.config;
	const cacheBytes = 2 * (kvDtype === "f32" ? 4 : 2) * numLayers * numKvHeads * headDim * session.layer(0).kvLen;
	session.close();
	return cacheBytes;
}

engineInfo();
const tiny = await loadModel(tinyFolder);
run(tiny, 300);
tiny.close();
const runtimeBytes = peakBytes();
using model = await loadModel(folder);
const cacheBytes = run(model, Number(length));
process.stdout.write(
	`${JSON.stringify({ runtimeBytes, weightBytes: model.sizeBytes, cacheBytes, peakBytes: peakBytes() })}\n`,
);
