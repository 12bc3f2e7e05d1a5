// kernel_info, interrupt and shutdown requests. kernel_info needs no worker, so that a front end has its answer
// while the compiler still loads.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot, typescriptVersion } from "../cell/packages.js";
import type { WorkerProcess } from "../cell/worker-process.js";
import { protocolVersion } from "../protocol/messages.js";
import type { Outlet } from "../protocol/outlet.js";
import type { Handler } from "../protocol/router.js";

/** Version of this package. */
const octavoVersion: string = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8")).version;

const kernelInfo = {
	status: "ok" as const,
	protocol_version: protocolVersion,
	implementation: "octavo",
	implementation_version: octavoVersion,
	language_info: {
		name: "typescript",
		version: typescriptVersion,
		mimetype: "text/typescript",
		file_extension: ".ts",
		pygments_lexer: "typescript",
		codemirror_mode: { name: "javascript", typescript: true },
		nbconvert_exporter: "script",
	},
	banner: `Octavo ${octavoVersion}: TypeScript cells on Node.js ${process.versions.node}`,
	help_links: [
		{ text: "TypeScript", url: "https://www.typescriptlang.org/docs/" },
		{ text: "Node.js", url: "https://nodejs.org/docs/latest-v20.x/api/" },
	],
	supported_features: ["debugger", "kernel subshells"],
	debugger: true,
};

/**
 * Makes the handlers that answer at any time.
 *
 * @param interrupt stops the running cell
 * @param shutdown ends the kernel
 */
export function controlHandlers(
	worker: WorkerProcess,
	outlet: Outlet,
	interrupt: () => void,
	shutdown: () => Promise<void>,
): [string, Handler][] {
	return [
		["kernel_info_request", () => ({ content: kernelInfo })],
		[
			"interrupt_request",
			() => {
				interrupt();
				return { content: { status: "ok" } };
			},
		],
		[
			"shutdown_request",
			async (request) => {
				const restart = request.content.restart === true;
				await worker.stop();
				outlet.publish("shutdown_reply", { status: "ok", restart }, request);
				return { content: { status: "ok", restart }, after: shutdown };
			},
		],
	];
}
