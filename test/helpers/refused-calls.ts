// Calls that must be refused: a test for each, of its code and of what its message says.

import assert from "node:assert/strict";
import { test } from "node:test";
import { OctavoError } from "../../sdk/index.js";

/** A call, what is wrong with it, the end of its error's code after `ERR_OCTAVO_`, and what its message says. */
export type RefusedCall = [what: string, code: string, message: RegExp, call: () => unknown];

/** Adds a test for each call, named after what is wrong with it. */
export function testRefusals(calls: readonly RefusedCall[]): void {
	for (const [what, code, message, call] of calls) {
		test(what, async () => {
			await assert.rejects(
				async () => call(),
				(error: unknown) => {
					assert.ok(error instanceof OctavoError, String(error));
					assert.equal(error.code, `ERR_OCTAVO_${code}`);
					assert.match(error.message, message);
					return true;
				},
			);
		});
	}
}
