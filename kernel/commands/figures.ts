// octavo figures: writes a paper's figures as files. A figure that a script wants is .arrow and .json, one that a person
// wants is .html; .svg and .png need a Chromium and are left out, and said to be, without one.

import { type Command, InvalidArgumentError } from "commander";
import type { figures as Figures } from "../../sdk/index.js";

type Draw = () => Promise<Figures.PaperFigure<object>>;

interface Options {
	output: string;
	model?: string;
	prompts?: number;
}

/** Adds the command. */
export function register(program: Command): void {
	program
		.command("figures")
		.description("draw a paper's figures: tables and charts, simulated beside published, or measured on a model")
		.argument("<paper>", "deep-optimizer-states or paged-eviction")
		.option("-o, --output <dir>", "folder to write to; made where it is missing", "figures")
		.option("-m, --model <folder>", "paged-eviction: model to measure on (default: recall-tiny)")
		.option("-n, --prompts <count>", "paged-eviction: prompts a point, in place of each figure's own", count)
		.action(async (paper: string, options: Options) => writeFigures(paper, options));
}

function count(text: string): number {
	if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
	throw new InvalidArgumentError("Expected a whole number from 1 to 999999.");
}

/** A paper's figures, and what closes behind them. */
async function open(paper: string, { model: folder, prompts }: Options): Promise<{ draws: Draw[]; close(): void }> {
	const { figures, loadModel, OctavoError } = await import("../../sdk/index.js");
	if (paper === "deep-optimizer-states") {
		return { draws: figures.deepOptimizerStates.map((draw) => async () => draw()), close: () => {} };
	}
	if (paper === "paged-eviction") {
		const model = await loadModel(folder);
		const options = prompts === undefined ? {} : { numPrompts: prompts };
		return { draws: figures.pagedEviction.map((measure) => () => measure(model, options)), close: () => model.close() };
	}
	const message = `Expected deep-optimizer-states or paged-eviction for the paper but received ${JSON.stringify(paper)}`;
	throw new OctavoError("ERR_OCTAVO_FIGURES", message);
}

async function writeFigures(paper: string, options: Options): Promise<void> {
	const { mkdir, writeFile } = await import("node:fs/promises");
	const { join } = await import("node:path");
	const { Presets, SingleBar } = await import("cli-progress");
	const { figures, OctavoError } = await import("../../sdk/index.js");
	const { figurePage } = await import("../display/figure-page.js");
	const { figureImages, findChromium } = await import("../display/figure-images.js");
	const { output } = options;
	const { draws, close } = await open(paper, options);
	try {
		await mkdir(output, { recursive: true });
	} catch (error) {
		const reason = (error as NodeJS.ErrnoException).code;
		throw new OctavoError("ERR_OCTAVO_FILE", `Expected a folder at ${output} but received ${reason}`);
	}
	const chromium = findChromium();
	const bar = new SingleBar(
		{ format: "{bar} {value}/{total} figures · {name}", hideCursor: true, gracefulExit: false, barsize: 24 },
		Presets.shades_classic,
	);
	const shown = process.stderr.isTTY;
	if (shown) bar.start(draws.length, 0, { name: "" });
	let failed: string | undefined;
	try {
		for (const draw of draws) {
			const figure = await draw();
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
		close();
	}
	if (!chromium) console.error("No .svg and .png: there is no Chromium on the PATH or in OCTAVO_CHROMIUM.");
	if (failed !== undefined) console.error(`No .svg and .png from the first figure that failed on: ${failed}`);
	console.log(`${draws.length} figures in ${output}`);
}
