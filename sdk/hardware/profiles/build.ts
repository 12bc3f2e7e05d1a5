// Builds a profile from two tables: what a data sheet or a separate measurement gives, and what was fitted.

import { type ConstantName, constantNames, type Profile } from "../profile.js";

/** A profile as it is written down. */
export interface ProfileDraft extends Omit<Profile, "constants"> {
	readonly specified: Readonly<Partial<Record<ConstantName, number>>>;
	/** The fitted value, and the prior it was held near. */
	readonly fitted: Readonly<Partial<Record<ConstantName, readonly [value: number, prior: number]>>>;
}

/** Puts both tables into one. */
export function buildProfile({ specified, fitted, ...profile }: ProfileDraft): Profile {
	const entries = constantNames.map((name) => {
		const [value, prior] = fitted[name] ?? [];
		if (value === undefined) return [name, { value: specified[name]!, source: "specification" }] as const;
		return [name, { value, source: "fitted", prior: prior! }] as const;
	});
	return { ...profile, constants: Object.fromEntries(entries) as Profile["constants"] };
}
