// Comparison with files under test/golden. Run the tests with OCTAVO_UPDATE_GOLDEN=1 to write them anew, then read the
// difference before it is kept.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";

/** Compares a value with `test/golden/NAME.json`. */
export function matchGolden(name: string, value: unknown): void {
	// From dist/test/helpers.
	const file = new URL(`../../../test/golden/${name}.json`, import.meta.url);
	const text = `${JSON.stringify(value, null, "\t")}\n`;
	if (process.env.OCTAVO_UPDATE_GOLDEN === "1") writeFileSync(file, text);
	assert.deepEqual(JSON.parse(text), JSON.parse(readFileSync(file, "utf8")), `differs from ${name}.json`);
}
