// Builds a profile from two tables: what a data sheet or a separate measurement gives, and what was fitted.

import { type ConstantName, constantNames, type Profile } from "../profile.js";

/** A profile as it is written down. */
export interface ProfileDraft extends Omit<Profile, "constants"> {
	readonly specified: Readonly<Partial<Record<ConstantName, number>>>;
	readonly fitted: Readonly<Partial<Record<ConstantName, number>>>;
}

/** Puts both tables into one. */
export function buildProfile({ specified, fitted, ...profile }: ProfileDraft): Profile {
	const entries = constantNames.map((name) => {
		const value = fitted[name];
		return [
			name,
			value === undefined ? { value: specified[name]!, source: "specification" } : { value, source: "fitted" },
		] as const;
	});
	return { ...profile, constants: Object.fromEntries(entries) as Profile["constants"] };
}
