// What share of a decode step do scoring and evicting take, for each policy? Times come from the trace's own columns.
// Prints Markdown. Weights are random: cost does not depend on them.

import { cpus, loadavg } from "node:os";
import { engineInfo, type LlamaSpec, type Model, type Policy, policies, randomModel } from "octavo";
import { smallShape, tinyShape } from "./helpers/shapes.js";

const shapes: Record<string, LlamaSpec> = { "recall-tiny": tinyShape, "100M": smallShape };
const budgets = [256, 1024];
const numRepeats = 5;
const prompt = (length: number, vocabSize: number) =>
	Int32Array.from({ length }, (_, i) => (i * 7919 + 13) % vocabSize);

interface Cost {
	scoreUs: number;
	evictUs: number;
	totalUs: number;
}

/** Mean times of a decode step, over whole rounds of filling a block, the median round. */
function measure(model: Model, policy: Policy, context: number): Cost {
	const session = model.session({ policy, numBlocks: context / 16 + 32, recordBlocks: false });
	session.prefillSync(prompt(context, model.config.vocabSize));
	const rounds = Array.from({ length: numRepeats + 1 }, (): Cost => {
		const before = session.trace.table("steps").numRows;
		session.runSync({ maxTokens: 32, endTokens: [] });
		const steps = session.trace.table("steps").slice(before);
		const mean = (name: "score_us" | "evict_us" | "total_us") => {
			const column = steps.getChild(name)!;
			let sum = 0;
			for (const us of column) sum += us!;
			return sum / column.length;
		};
		return { scoreUs: mean("score_us"), evictUs: mean("evict_us"), totalUs: mean("total_us") };
	});
	session.close();
	const share = ({ scoreUs, evictUs, totalUs }: Cost) => (scoreUs + evictUs) / totalUs;
	return rounds.slice(1).sort((a, b) => share(a) - share(b))[numRepeats >> 1]!;
}

const { simd, numThreads } = engineInfo();
const head = [
	"# Cost of eviction",
	"",
	`${cpus()[0]?.model ?? "unknown processor"}, ${numThreads} threads, ${simd}, load average before it ${loadavg()[0]!.toFixed(1)}.`,
	"Mean times of a decode step from the trace, after a prompt of the budget, blocks of 16: scores and choices come as a block",
	`fills, of tokens in every step; 32 steps make a round, and the median of ${numRepeats} rounds by share stands here.`,
	"",
	"| shape | budget | policy | scoring, µs | evicting, µs | step, µs | share |",
	"|---|---|---|---|---|---|---|",
];
console.log(head.join("\n"));
for (const [name, shape] of Object.entries(shapes)) {
	using model = randomModel(shape, 1);
	for (const budget of budgets) {
		const compared: Policy[] = [
			policies.pagedEviction({ budget }),
			policies.streamingLlm({ budget }),
			policies.inverseKeyNorm({ budget }),
			policies.keyDiff({ budget }),
			policies.h2o({ budget }),
			policies.tova({ budget }),
			policies.snapKv({ budget }),
			policies.random({ budget }),
		];
		const byToken = (["recycle", "mask", "compact"] as const).flatMap((holes) => {
			const options = { budget, granularity: "token", holes } as const;
			const scored = [policies.h2o(options), policies.tova(options), policies.keyDiff(options)];
			const others = holes === "recycle" ? [policies.inverseKeyNorm(options), policies.random(options)] : [];
			return [...scored, ...others].map((policy) => ({ policy, name: `${policy.name}, tokens, ${holes}` }));
		});
		for (const { policy, name: label } of [...compared.map((policy) => ({ policy, name: policy.name })), ...byToken]) {
			const { scoreUs, evictUs, totalUs } = measure(model, policy, budget);
			const share = `${((100 * (scoreUs + evictUs)) / totalUs).toFixed(2)} %`;
			console.log(
				`| ${name} | ${budget} | ${label} | ${scoreUs.toFixed(1)} | ${evictUs.toFixed(1)} | ${totalUs.toFixed(0)} | ${share} |`,
			);
		}
	}
}
