// Finds and loads the native engine, once. It is loaded at the first call and not at import, so that traces and charts
// work where it has not been built.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { Addon } from "./addon.js";

/** Where the build puts the engine: seen from dist/native. */
export const addonPath = fileURLToPath(new URL("../../native/build/octavo.node", import.meta.url));

let addon: Addon | undefined;

/**
 * The native engine.
 *
 * @throws an Error with code ERR_OCTAVO_NATIVE when it has not been built or does not load here
 */
export function loadAddon(): Addon {
	if (addon) return addon;
	try {
		addon = createRequire(import.meta.url)(addonPath) as Addon;
		return addon;
	} catch (error) {
		const reason = existsSync(addonPath)
			? (error as Error).message
			: `no such file; \`npm run build\` in ${fileURLToPath(new URL("../..", import.meta.url))} makes it`;
		const message = `Expected the native engine at ${addonPath} but received: ${reason}`;
		throw Object.assign(new Error(message, { cause: error }), { code: "ERR_OCTAVO_NATIVE" });
	}
}
