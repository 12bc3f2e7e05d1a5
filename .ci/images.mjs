// Draws the pictures in docs/images again, each from a run of the programs that README.md and docs/ show: npm run images.
// Needs what `npm run setup` makes, and a Chromium (on the PATH, or named by OCTAVO_CHROMIUM).

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { figureImages, findChromium } from "../dist/kernel/display/figure-images.js";
import { chart, figures, hardware, loadModel, policies, schedules, tasks } from "../dist/sdk/index.js";

const folder = fileURLToPath(new URL("../docs/images/", import.meta.url));

/** The run of README.md, stopped before the block goes, then to the end of its step, then on. */
async function firstCells() {
	const model = await loadModel();
	const session = model.session({ blockSize: 8, policy: policies.pagedEviction({ budget: 64 }) });
	await session.prefill(tasks.recall({ seed: 19 }).context);
	session.breakOn("evict", (event) => event.layer === 3);
	await session.run({ maxTokens: 512 });
	const step = await session.step();
	const blockScores = chart.blockScores(session.trace, { step: step.index, layer: 3 });
	for await (const _ of session.steps({ maxTokens: 56 - step.index, endTokens: [] }));
	return { "block-scores": blockScores, "block-map": chart.blockMap(session.trace, { layer: [2, 3] }) };
}

async function timeline() {
	const configuration = schedules.publishedConfiguration("20B");
	const schedule = schedules.deepOptimizerStates(configuration, { updateStride: 2 });
	const iteration = hardware.simulateIteration(schedule, hardware.profileByName("h100-4x"));
	iteration.runSync();
	return { "task-timeline": chart.taskTimeline(iteration.trace, { phase: "update" }) };
}

async function accuracy() {
	const figure = await figures.accuracyByBudget(await loadModel(), { task: "recall" });
	return { accuracy: figure.chart };
}

const chromium = findChromium();
if (!chromium) throw new Error("Expected a Chromium on the PATH or in OCTAVO_CHROMIUM to draw with");
for (const draw of [firstCells, timeline, accuracy]) {
	for (const [name, figure] of Object.entries(await draw())) {
		const { svg } = await figureImages({ ...figure.toJSON(), title: figure.title }, chromium);
		await writeFile(join(folder, `${name}.svg`), svg.replace(/^<svg[^>]*>/, `$&<title>${figure.title}</title>`));
		console.log(`docs/images/${name}.svg: ${Math.round(svg.length / 1024)} KiB`);
	}
}
