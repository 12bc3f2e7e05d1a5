// `await install("name")`: adds a package beside the notebook with npm, whose output shows what it does. What was
// installed is seen by the next cell's imports, types included.

import { spawn } from "node:child_process";
import { OctavoError } from "../../sdk/errors.js";
import { interruptSignal } from "./interrupted.js";

/** Adds packages to the notebook's folder. */
export type InstallFunction = (...packages: string[]) => Promise<void>;

const packageName = /^(?:npm:)?(@[a-z0-9~][\w.~-]*\/)?[a-z0-9~][\w.~-]*(@[\w.^~<>=|* -]+)?$/i;
/** What npm says when it reached no registry. */
const unreachable = /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ETIMEDOUT|ENOTCACHED)\b/;

/** Makes the function for one folder. */
export function makeInstall(folder: string): InstallFunction {
	return async (...packages) => {
		for (const name of packages) {
			if (typeof name === "string" && (packageName.test(name) || /^\.{0,2}\//.test(name))) continue;
			const came = typeof name === "string" ? JSON.stringify(name) : typeof name;
			throw new OctavoError("ERR_OCTAVO_PACKAGE_NAME", `Expected a package such as "lodash@4" but received ${came}`);
		}
		if (packages.length === 0) throw new OctavoError("ERR_OCTAVO_PACKAGE_NAME", "Expected a package but received none");
		const names = packages.map((name) => name.replace(/^npm:/, ""));
		const log = await runNpm(folder, ["install", "--no-audit", "--no-fund", "--prefix", folder, "--", ...names]);
		if (log === undefined) return;
		const reason = unreachable.exec(log)?.[1];
		const expected = reason
			? `a package registry within reach but npm met ${reason}`
			: `npm to install ${names.join(", ")}`;
		const last = /npm (?:ERR!|error) (?:code )?(.+)/.exec(log)?.[1] ?? log.trim().split("\n").at(-1);
		throw new OctavoError("ERR_OCTAVO_INSTALL", `Expected ${expected}${reason ? "" : ` but it failed: ${last}`}`);
	};
}

/** Runs npm and shows its output; gives the output when it failed. */
function runNpm(folder: string, args: readonly string[]): Promise<string | undefined> {
	const signal = (globalThis as { [interruptSignal]?: AbortSignal })[interruptSignal];
	const child = spawn("npm", args, {
		cwd: folder,
		stdio: ["ignore", "pipe", "pipe"],
		shell: process.platform === "win32",
		env: { ...process.env, npm_config_fetch_retries: "1", npm_config_fetch_retry_mintimeout: "1000" },
		...(signal && { signal }),
	});
	let log = "";
	for (const stream of [child.stdout, child.stderr]) {
		stream.setEncoding("utf8").on("data", (text: string) => {
			log = (log + text).slice(-65_536);
			process.stdout.write(text);
		});
	}
	return new Promise((resolve, reject) => {
		child.once("error", (error) => {
			if ((error as NodeJS.ErrnoException).code !== "ENOENT") return reject(error);
			reject(new OctavoError("ERR_OCTAVO_INSTALL", "Expected npm on the PATH but found none", { cause: error }));
		});
		child.once("close", (code) => resolve(code === 0 ? undefined : log));
	});
}
