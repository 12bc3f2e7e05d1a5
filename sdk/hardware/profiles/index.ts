// The built-in profiles by name, and the names that run files use for them.

import { OctavoError, received } from "../../errors.js";
import { nearest } from "../../options.js";
import type { Profile } from "../profile.js";
import { a100x4Bound } from "./a100-4x-bound.js";
import { a100x4Unbound } from "./a100-4x-unbound.js";
import { h100x4 } from "./h100-4x.js";

/** The built-in profiles. */
export const profiles: readonly Profile[] = [h100x4, a100x4Bound, a100x4Unbound];

/** The name in run files of each built-in profile's hardware. */
export const runProfileNames: Readonly<Record<string, string>> = {
	"H100-bound": h100x4.name,
	"A100-bound": a100x4Bound.name,
	"A100-unbound": a100x4Unbound.name,
};

/**
 * A built-in profile.
 *
 * @param name `h100-4x`, `a100-4x-bound` or `a100-4x-unbound`
 * @throws {OctavoError} ERR_OCTAVO_PROFILE when there is none of that name
 */
export function profileByName(name: string): Profile {
	const found = profiles.find((profile) => profile.name === name);
	if (found) return found;
	const names = profiles.map((profile) => profile.name);
	const near = nearest(name, names);
	const hint = near ? `; did you mean ${near}?` : "";
	throw new OctavoError(
		"ERR_OCTAVO_PROFILE",
		`Expected one of ${names.join(", ")} but received ${received(name)}${hint}`,
	);
}
