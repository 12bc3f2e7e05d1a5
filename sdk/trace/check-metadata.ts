// The check of what a trace says about its run. It comes from files too, so its fields are looked at before captions read
// them.

import { OctavoError, received } from "../errors.js";

/** What each field must be. */
export type MetadataFields = Readonly<Record<string, "text" | "number">>;

/**
 * @param fields every field that the metadata must have; numbers must be finite
 * @throws {OctavoError} ERR_OCTAVO_TRACE for a field that is missing or of another type
 */
export function checkMetadata(metadata: object | undefined, fields: MetadataFields): void {
	for (const [name, type] of Object.entries(fields)) {
		const value = (metadata as Record<string, unknown> | undefined)?.[name];
		if (type === "text" ? typeof value === "string" : Number.isFinite(value)) continue;
		const expected = `${type === "text" ? "a string" : "a finite number"} for ${name} in the trace's metadata`;
		throw new OctavoError("ERR_OCTAVO_TRACE", `Expected ${expected} but received ${received(value)}`);
	}
}
