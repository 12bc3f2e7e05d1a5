// A figure as SVG and PNG, drawn by a Chromium that is on the machine: headless, it prints the page's document, in which
// a script has put both images. No browser package is needed for that.

import { execFile } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { figurePage, type PageFigure } from "./figure-page.js";

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** Path of a Chromium: `OCTAVO_CHROMIUM`, or the first on the PATH; undefined without one. */
export function findChromium(): string | undefined {
	const folders = (process.env.PATH ?? "").split(delimiter);
	const candidates = names.flatMap((name) => folders.map((folder) => join(folder, name)));
	const given = process.env.OCTAVO_CHROMIUM;
	return [...(given ? [given] : []), ...candidates].find((path) => {
		try {
			accessSync(path, constants.X_OK);
			return true;
		} catch {
			return false;
		}
	});
}

const imagesScript = `
(async () => {
	const size = { width: 960, height: figure.layout.height || 480 };
	const layout = Object.assign({}, figure.layout, size, { paper_bgcolor: "#fff" });
	const images = [];
	for (const format of ["svg", "png"]) {
		images.push(await Plotly.toImage({ data: figure.data, layout }, Object.assign({ format, scale: format === "png" ? 2 : 1 }, size)));
	}
	document.body.textContent = "octavo-images " + images.join(" ") + " octavo-end";
	document.head.textContent = "";
})();`;

/** The environment for a browser, which makes a socket in TMPDIR: its path may have some hundred characters only. */
function shortPaths(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
	return tmpdir().length > 50 && existsSync("/tmp") ? { ...env, TMPDIR: "/tmp" } : env;
}

/**
 * Both images.
 *
 * @param chromium path of the browser, from `findChromium`
 * @throws {Error} when the browser fails or gives no images within a minute
 */
export async function figureImages(figure: PageFigure, chromium: string): Promise<{ svg: string; png: Buffer }> {
	const folder = await mkdtemp(join(tmpdir(), "octavo-figure-"));
	try {
		const page = join(folder, "figure.html");
		await writeFile(page, await figurePage(figure, imagesScript));
		const options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"];
		const { stdout } = await promisify(execFile)(
			chromium,
			[...options, `--user-data-dir=${join(folder, "profile")}`, pathToFileURL(page).href],
			{ maxBuffer: 64 * 2 ** 20, timeout: 60_000, env: shortPaths(process.env) },
		);
		const found = /octavo-images data:image\/svg\+xml,(\S+) data:image\/png;base64,(\S+) octavo-end/.exec(stdout);
		if (!found) throw new Error("the browser's page has no images");
		return { svg: decodeURIComponent(found[1]!), png: Buffer.from(found[2]!, "base64") };
	} finally {
		await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
	}
}
