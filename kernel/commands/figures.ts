// octavo figures: writes a paper's figures as files. A figure that a script wants is .arrow and .json, one that a person
// wants is .html; .svg and .png need a Chromium and are left out, and said to be, without one.

import type { Command } from "commander";

/** Adds the command. */
export function register(program: Command): void {
	program
		.command("figures")
		.description("draw a paper's figures: tables and charts, published values beside simulated ones")
		.argument("<paper>", "deep-optimizer-states")
		.option("-o, --output <dir>", "folder to write to; made where it is missing", "figures")
		.action(async (paper: string, { output }: { output: string }) => writeFigures(paper, output));
}

async function writeFigures(paper: string, output: string): Promise<void> {
	const { mkdir, writeFile } = await import("node:fs/promises");
	const { join } = await import("node:path");
	const { Presets, SingleBar } = await import("cli-progress");
	const { figures, OctavoError } = await import("../../sdk/index.js");
	const { figurePage } = await import("../display/figure-page.js");
	const { figureImages, findChromium } = await import("../display/figure-images.js");
	if (paper !== "deep-optimizer-states") {
		const message = `Expected deep-optimizer-states for the paper but received ${JSON.stringify(paper)}`;
		throw new OctavoError("ERR_OCTAVO_FIGURES", message);
	}
	try {
		await mkdir(output, { recursive: true });
	} catch (error) {
		const reason = (error as NodeJS.ErrnoException).code;
		throw new OctavoError("ERR_OCTAVO_FILE", `Expected a folder at ${output} but received ${reason}`);
	}
	const chromium = findChromium();
	const all = figures.deepOptimizerStates;
	const bar = new SingleBar(
		{ format: "{bar} {value}/{total} figures · {name}", hideCursor: true, gracefulExit: false, barsize: 24 },
		Presets.shades_classic,
	);
	const shown = process.stderr.isTTY;
	if (shown) bar.start(all.length, 0, { name: "" });
	let failed: string | undefined;
	try {
		for (const draw of all) {
			const figure = draw();
			if (shown) bar.increment(0, { name: figure.name });
			const path = (ending: string): string => join(output, `${figure.name}.${ending}`);
			const page = { ...figure.chart.toJSON(), title: figure.title };
			await figures.saveFigure(figure, output);
			await writeFile(path("html"), await figurePage(page));
			if (chromium && failed === undefined) {
				try {
					const { svg, png } = await figureImages(page, chromium);
					await writeFile(path("svg"), svg);
					await writeFile(path("png"), png);
				} catch (error) {
					failed = (error as Error).message.split("\n")[0]!;
				}
			}
			if (shown) bar.increment();
			else console.error(`${figure.name}: ${figure.title}`);
		}
	} finally {
		if (shown) bar.stop();
	}
	if (!chromium) console.error("No .svg and .png: there is no Chromium on the PATH or in OCTAVO_CHROMIUM.");
	if (failed !== undefined) console.error(`No .svg and .png from the first figure that failed on: ${failed}`);
	console.log(`${all.length} figures in ${output}`);
}
