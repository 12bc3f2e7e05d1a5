// What a layer's cache holds while a session decodes: allocated slots, and the share of them that is wasted. Read from the
// trace's table `memory`.

import { looksOf } from "../../chart/looks.js";
import { escapeText, finish, round } from "../../chart/theme.js";
import type { Model } from "../../load-model.js";
import { recall } from "../../model/tasks/index.js";
import { figureOf, type PaperFigure } from "../result.js";
import { type Contender, layouts } from "./contenders.js";
import { runCases } from "./evaluate.js";
import { checkExperiment, type SequenceOptions, sequenceChecks } from "./options.js";

/** Options of `memoryOverTime`. */
export interface MemoryOverTimeOptions extends SequenceOptions {
	/** Default: the full cache, snap-kv, paged-eviction, and single tokens with each use of their slots. */
	policies?: readonly Contender[];
}

/** The caches of all layers after one step. */
export interface MemoryPoint {
	/** Policy, with its layout. */
	readonly policy: string;
	/** Step, 0 for the prefill. */
	readonly step_index: number;
	/** Mean over layers. */
	readonly live_tokens: number;
	/** Mean over layers, in slots of all blocks. */
	readonly allocated_tokens: number;
	/** All layers, keys and values. */
	readonly allocated_bytes: number;
	/** 1 − live / allocated. */
	readonly fragmentation: number;
}

const schema = {
	policy: { type: "text", description: "Policy" },
	step_index: { type: "i32", description: "Step; 0 is the prefill" },
	live_tokens: { type: "f64", description: "Live tokens, mean over layers" },
	allocated_tokens: { type: "f64", description: "Slots of all blocks, mean over layers" },
	allocated_bytes: { type: "f64", description: "Keys and values of all blocks of all layers" },
	fragmentation: { type: "f64", description: "1 - live / allocated, 0 to 1" },
} as const;

/**
 * Memory and fragmentation, step by step.
 *
 * @returns a point a policy and step
 * @throws {OctavoError} ERR_OCTAVO_OPTION, ERR_OCTAVO_BUDGET
 */
export async function memoryOverTime(
	model: Model,
	options: MemoryOverTimeOptions = {},
): Promise<PaperFigure<MemoryPoint>> {
	const checked = checkExperiment("memoryOverTime", model, options, sequenceChecks());
	const { budget, blockSize, numTokens, firstSeed: seed } = checked;
	const runs = await runCases(
		checked.policies ?? layouts,
		(contender): MemoryPoint[] => {
			const prompt = recall({ seed, filler: "markov" });
			const policy = contender.policy(budget, seed, prompt);
			using session = model.session({ blockSize, policy, seed, recordBlocks: false });
			session.prefillSync(prompt.context);
			session.runSync({ maxTokens: numTokens, endTokens: [] });
			const points: MemoryPoint[] = [];
			const { numLayers } = model.config;
			let layers: { live_tokens: number; allocated_tokens: number; allocated_bytes: number }[] = [];
			for (const row of session.trace.table("memory")) {
				layers.push(row);
				if (layers.length < numLayers) continue;
				const sum = (column: keyof (typeof layers)[number]): number =>
					layers.reduce((total, layer) => total + layer[column], 0);
				const [live, allocated] = [sum("live_tokens"), sum("allocated_tokens")];
				points.push({
					policy: contender.name,
					step_index: row.step_index,
					live_tokens: live / numLayers,
					allocated_tokens: allocated / numLayers,
					allocated_bytes: sum("allocated_bytes"),
					fragmentation: 1 - live / allocated,
				});
				layers = [];
			}
			return points;
		},
		checked,
	);
	const points = runs.flat();
	const looks = looksOf(runs.map((run) => run[0]!.policy));
	const lines = (column: "allocated_tokens" | "fragmentation", yaxis: string) =>
		runs.map((run, i) => ({
			type: "scatter",
			mode: "lines",
			name: escapeText(run[0]!.policy),
			legendgroup: run[0]!.policy,
			showlegend: yaxis === "y",
			x: run.map((point) => point.step_index),
			y: run.map((point) => round(point[column])),
			xaxis: "x",
			yaxis,
			line: { color: looks[i]!.color, width: 1.8, dash: looks[i]!.dash },
		}));
	const chart = finish([...lines("allocated_tokens", "y"), ...lines("fragmentation", "y2")], {
		title: "Memory and fragmentation while decoding",
		caption: `Prompt of 128 tokens, budget ${budget}, blocks of ${blockSize}; mean over ${model.config.numLayers} layers, recorded after each step by ${model.name}. Fragmentation: share of allocated slots that hold no live token.`,
		plotHeight: 380,
		layout: {
			xaxis: { title: { text: "step", standoff: 6 }, anchor: "y2" },
			yaxis: { title: { text: "allocated slots" }, domain: [0.42, 1], rangemode: "tozero" },
			yaxis2: { title: { text: "fragmentation" }, domain: [0, 0.34], rangemode: "tozero", tickformat: ".0%" },
		},
	});
	return figureOf("memory-over-time", schema, points, chart);
}
