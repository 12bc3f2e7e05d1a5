// Values that no type refuses at run time: written by hand, read from a file, or of another call; each answered with a code,
// what was expected and what came.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { hardware, loadModel, policies, schedules, tableToText, tasks } from "../sdk/index.js";
import { testRefusals } from "./helpers/refused-calls.js";

const model = await loadModel();
after(() => model.close());
const session = model.session({ blockSize: 8 });
session.prefillSync(tasks.recall({ seed: 1 }).context);
const batch = model.batch({ blockSize: 8 });
const plan = schedules.zeroOffload(schedules.publishedConfiguration("7B"));
const node = hardware.profileByName("h100-4x");
const rates = hardware.closedFormRates(node, 4);
const byHand = (policy: object) => model.session({ blockSize: 8, policy: policy as policies.Policy });

// biome-ignore lint/suspicious/noExplicitAny: what types would refuse comes through it
const wrong = (value: unknown): any => value;
testRefusals([
	["no blocks", "OPTION", /1 to 2147483647 for numBlocks but received 0/, () => model.session({ numBlocks: 0 })],
	["a policy without its budget", "BUDGET", /for budget but received undefined/, () => byHand({ name: "h2o" })],
	[
		"a policy's misspelt option",
		"OPTION",
		/recnt; did you mean recent\?/,
		() => byHand({ name: "h2o", budget: 64, recnt: 8 }),
	],
	["no policy", "OPTION", /policies\.….* received null/, () => model.session({ policy: wrong(null) })],
	["no policy for a sequence", "OPTION", /policies\.….* received null/, () => batch.add([1], { policy: wrong(null) })],
	["no policy for a fork", "OPTION", /policies\.….* received null/, () => session.fork({ policy: wrong(null) })],
	[
		"a layer to skip that there is not",
		"OPTION",
		/layers from 0 to 3 for skipLayers but received 9/,
		() => byHand(policies.inverseKeyNorm({ budget: 32, skipLayers: [1, 9] })),
	],
	[
		"a layer to skip that is none",
		"OPTION",
		/a layer for skipLayers\[1\] but received -1/,
		() => policies.inverseKeyNorm({ budget: 32, skipLayers: [0, -1] }),
	],
	["a layer as text", "LAYER", /0 to 3 but received "0"/, () => session.layer(wrong("0"))],
	["bigints for tokens", "TOKEN", /tokens\[0\] but received 5n/, () => session.feedSync(wrong([5n]))],
	["nowhere to rewind to", "OPTION", /for rewind\(\) but received undefined/, () => session.rewind(wrong(undefined))],
	[
		"nowhere to save a model",
		"MODEL_FILE",
		/folder to write to but received undefined/,
		() => model.save(wrong(undefined)),
	],
	[
		"a trace below a file",
		"TRACE",
		/can be written to but received "\/dev\/null\/x/,
		() => session.trace.save("/dev/null/x.arrow"),
	],
	["a batch's below a file", "TRACE", /can be written to but received/, () => batch.trace.save("/dev/null/x.arrow")],
	["no table to show", "TRACE", /Expected an Arrow table but received 5/, () => tableToText(wrong(5))],
	[
		"no schedule to check",
		"SCHEDULE",
		/schedule, with tasks.* received an instance of Object/,
		() => schedules.checkSchedule(wrong({})),
	],
	["nothing to check", "SCHEDULE", /schedule, with tasks.* received null/, () => schedules.findProblems(wrong(null))],
	["no schedule to simulate", "SCHEDULE", /schedule, with tasks/, () => hardware.simulate(wrong({}), node)],
	[
		"nothing to plan for",
		"CONFIGURATION",
		/training configuration.* received undefined/,
		() => schedules.zeroOffload(wrong(undefined)),
	],
	["a schedule to plan for", "CONFIGURATION", /training configuration/, () => hardware.searchOctavo(wrong(plan), node)],
	[
		"subgroups of no rank",
		"CONFIGURATION",
		/at least 1 for numRanks but received 0/,
		() => schedules.formSubgroups([9], 0, 4),
	],
	[
		"a period of no stride",
		"OPTION",
		/at least 1, for stride but received 0/,
		() => hardware.stridePeriod(rates, 0, 1e8),
	],
	[
		"a period of nothing",
		"OPTION",
		/for subgroupElements but received NaN/,
		() => hardware.stridePeriod(rates, 2, Number.NaN),
	],
	["rates of no rank", "OPTION", /for numRanks but received 0/, () => hardware.optimalStride(node, 0)],
	[
		"a capacity's misspelt name",
		"OPTION",
		/deviceBytes or hostBytes.* received device/,
		() => hardware.predictMemory(plan, wrong({ device: 1 })),
	],
]);

test("a policy that went through JSON is as good as the one that was made", () => {
	const policy = policies.h2o({ budget: [64, 32, 32, 24], granularity: "token" });
	const copy = byHand(JSON.parse(JSON.stringify(policy)));
	copy.prefillSync(tasks.recall({ seed: 1 }).context);
	assert.deepEqual(
		[0, 1, 2, 3].map((layer) => copy.layer(layer).kvLen),
		[64, 32, 32, 24],
	);
	assert.equal(session.runSync({ maxTokens: 3, endTokens: [] }).numSteps, 3);
});
