// Calls that are easily got wrong in a cell, each answered with a code, what was expected and what came.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { chart, figures, hardware, loadModel, policies, randomModel, schedules, tasks } from "../sdk/index.js";
import { testRefusals } from "./helpers/refused-calls.js";

const model = await loadModel();
after(() => model.close());
const session = model.session({ blockSize: 8 });
session.prefillSync(tasks.recall({ seed: 1 }).context);
const small = randomModel({
	...{ numLayers: 1, hiddenSize: 16, intermediateSize: 16, numQueryHeads: 2, numKvHeads: 1, headDim: 8 },
	...{ vocabSize: 64, maxPositions: 512, rmsNormEps: 1e-5, ropeTheta: 1e4, tieWordEmbeddings: true },
});
const plan = schedules.zeroOffload(schedules.publishedConfiguration("7B"));

// Types would refuse most of these in a cell; what they cannot see comes through `any`.
const wrong = <T>(value: unknown): T => value as T;
testRefusals([
	[
		"a policy that was not called",
		"OPTION",
		/policies\.….*function keyDiff/,
		() => model.session({ policy: wrong(policies.keyDiff) }),
	],
	[
		"a planner's option in another spelling",
		"OPTION",
		/updateStrides; did you mean updateStride\?/,
		() => schedules.deepOptimizerStates(plan.configuration, wrong({ updateStrides: 2 })),
	],
	[
		"a planner with no options",
		"CONFIGURATION",
		/updateStride/,
		() => schedules.deepOptimizerStates(plan.configuration, wrong(undefined)),
	],
	[
		"a planner's ratio in another spelling",
		"OPTION",
		/ratio; did you mean|options offloadRatio/,
		() => schedules.twinflow(plan.configuration, wrong({ ratio: 0.5 })),
	],
	[
		"our schedule's choice",
		"OPTION",
		/numSlots/,
		() => schedules.octavo(plan.configuration, wrong({ numResident: 0, numOnDevice: 0, numSlots: 3 })),
	],
	[
		"a change of a published run that it does not have",
		"OPTION",
		/microBatchsize; did you mean microBatchSize\?/,
		() => schedules.publishedConfiguration("7B", wrong({ microBatchsize: 4 })),
	],
	[
		"a share above 1",
		"OPTION",
		/from 0 to 1 for deviceShare/,
		() => hardware.searchOctavo(plan.configuration, hardware.profileByName("h100-4x"), { deviceShare: 90 }),
	],
	["a count that is none", "OPTION", /for k of topTokens/, () => session.topTokens(wrong("five"))],
	[
		"an option in another spelling",
		"OPTION",
		/block_size; did you mean blockSize\?/,
		() => model.session(wrong({ block_size: 8 })),
	],
	[
		"a share of nothing",
		"OPTION",
		/above 0, at most 1, for topP but received 0/,
		() => session.runSync({ maxTokens: 1, sampling: { topP: 0 } }),
	],
	[
		"a share of too much",
		"OPTION",
		/for topP but received 2/,
		() => session.runSync({ maxTokens: 1, sampling: { topP: 2 } }),
	],
	[
		"a session for a trace",
		"CHART",
		/session\.trace, for chart\.blockMap\(\).*instance of Session/,
		() => chart.blockMap(wrong(session)),
	],
	[
		"nothing for a trace",
		"CHART",
		/chart\.survival\(\) but received undefined/,
		() => chart.survival(wrong(undefined)),
	],
	["a trace for a batch's", "CHART", /batch\.trace, for chart\.occupancy\(\)/, () => chart.occupancy(wrong(session))],
	["a simulation for its trace", "CHART", /iteration\.trace/, () => chart.utilisation(wrong({}))],
	[
		"no step",
		"CHART",
		/one of the trace's steps \(0\) but received undefined/,
		() => wrong<(trace: unknown) => unknown>(chart.blockScores)(session.trace),
	],
	["words for names", "TOKENIZER", /received "the"$/, () => model.tokenizer!.encode("the cat")],
	["a number for text", "TOKENIZER", /Expected text but received 3/, () => model.tokenizer!.encode(wrong(3))],
	[
		"a folder that is not there",
		"MODEL_FILE",
		/a folder with a model at .*nowhere but there is none$/,
		() => loadModel("/nowhere"),
	],
	[
		"a hub's model without hf:",
		"MODEL_FILE",
		/loadModel\("hf:organisation\/name"\) downloads it/,
		() => loadModel("organisation/name"),
	],
	[
		"no model for an experiment",
		"OPTION",
		/first argument of figures\.accuracyByBudget\(\)/,
		() => figures.accuracyByBudget(wrong({ task: "recall" })),
	],
	[
		"a model without the vocabulary",
		"OPTION",
		/256 tokens for figures\.scopes\(\) but received one with 64/,
		() => figures.scopes(small),
	],
	[
		"no folder for a figure",
		"OPTION",
		/path of a folder.*undefined/,
		() => figures.saveFigure(figures.iterationTime(), wrong(undefined)),
	],
	[
		"no choice for our schedule",
		"CONFIGURATION",
		/numResident but received undefined/,
		() => schedules.octavo(plan.configuration, wrong(undefined)),
	],
	[
		"no profile",
		"PROFILE",
		/hardware\.profileByName\(\) gives, but received undefined/,
		() => hardware.simulate(plan, wrong(undefined)),
	],
]);

test("after all that the session goes on, and an experiment that needs no vocabulary runs on any model", async () => {
	assert.equal(session.runSync({ maxTokens: 3, endTokens: [] }).numSteps, 3);
	const evicting = figures.contenders.slice(0, 1);
	const { rows } = await figures.evictionOverhead(small, { numTokens: 4, policies: evicting });
	assert.deepEqual(
		rows.map((row) => row.policy),
		["full", "paged-eviction"],
	);
	assert.ok(rows.every((row) => row.median_total_us >= row.total_us && row.total_us > 0));
});
