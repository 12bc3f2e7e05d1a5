// Figures over the hardware: how fast the link between host and device is, and over how many nodes a model is spread. The
// paper has neither as a sweep; both ask where interleaving pays, so no published values stand beside them.

import { withConstants } from "../hardware/profile.js";
import { profileByName } from "../hardware/profiles/index.js";
import { publishedConfiguration } from "../train/schedule/published-models.js";
import { drawComparison } from "./draw.js";
import { play, scheduleKeys, scheduleNames, simulatedOn } from "./play.js";
import { type FigureRow, type PaperFigure, paperFigure } from "./result.js";

const links = [6, 12, 25, 55.2, 110];
const strides = [2, 3, 4, 6, 8];

/**
 * Iteration time of 20B over the bandwidth of the link, all else as on the H100 node. S2 is drawn at its best stride, which
 * the table has as well.
 */
export function linkBandwidth(): PaperFigure {
	const profile = profileByName("h100-4x");
	const configuration = publishedConfiguration("20B");
	const rows = links.flatMap((linkGBs): FigureRow[] => {
		const changed = withConstants(profile, { linkGBs });
		const base = (key: keyof typeof scheduleNames) => ({ setting: `${linkGBs}`, schedule: scheduleNames[key] });
		const seconds = (key: keyof typeof scheduleNames, stride?: number): number =>
			play(key, configuration, changed, stride).iterationUs / 1e6;
		const ofStrides = strides.map((stride) => ({ stride, simulated: seconds("S2", stride) }));
		const best = ofStrides.reduce((a, b) => (b.simulated < a.simulated ? b : a));
		return [
			...scheduleKeys.map((key) => ({
				...base(key),
				...{ quantity: "iteration", unit: "s", published: null },
				simulated: key === "S2" ? best.simulated : seconds(key),
			})),
			{ ...base("S2"), quantity: "best update stride", unit: "1", simulated: best.stride, published: null },
		];
	});
	const best = rows.filter((row) => row.quantity === "best update stride");
	const chart = drawComparison(rows, {
		title: "Iteration time by link bandwidth, 20B on 4×H100",
		caption: `The node's own link has 55.2 GB/s a direction; the others are the same node with another one. S2 at its best update stride: ${best.map((row) => `k=${row.simulated}`).join(", ")}. S0's blocking copies go through pageable memory at a fitted rate that does not follow the link. ${simulatedOn(profile)}`,
		x: "link, GB/s a direction",
		y: "iteration, s",
		quantity: "iteration",
	});
	return paperFigure("link-bandwidth", rows, chart);
}

/** Iteration and update time of 20B over nodes: each rank's share of the optimizer state gets smaller, the batch grows. */
export function nodes(): PaperFigure {
	const profile = profileByName("a100-4x-unbound");
	const rows = [1, 2, 4, 8].flatMap((numNodes) =>
		scheduleKeys.flatMap((key): FigureRow[] => {
			const configuration = publishedConfiguration("20B", { numNodes, dataParallel: 4 * numNodes });
			const { iterationUs, updateUs } = play(key, configuration, profile);
			const base = { setting: `${numNodes}`, schedule: scheduleNames[key], unit: "s", published: null };
			return [
				{ ...base, quantity: "iteration", simulated: iterationUs / 1e6 },
				{ ...base, quantity: "update", simulated: updateUs / 1e6 },
			];
		}),
	);
	const chart = drawComparison(rows, {
		title: "Iteration time by number of nodes, 20B on nodes of 4×A100",
		caption: `One model over more nodes, a micro-batch of 1 a rank, so that the batch grows with them. From two nodes on the network sets the pace of forward and backward, and what a schedule saves of the update (in the table) counts for less. ${simulatedOn(profile)}`,
		x: "nodes",
		y: "iteration, s",
		quantity: "iteration",
	});
	return paperFigure("nodes", rows, chart);
}
