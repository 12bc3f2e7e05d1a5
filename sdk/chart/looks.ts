// Which colour and marker a line has. What has a name of ours, a policy or a planner, looks the same in every figure,
// whoever else is drawn: two figures side by side are read together. The random control is grey, and dotted.

import { palette, symbols } from "./theme.js";

/** How one line looks. */
export interface Look {
	readonly color: string;
	/** Of markers, so that colour is never the only sign. */
	readonly symbol: string;
	readonly dash: "solid" | "dash" | "dot" | "dashdot";
}

// Places in the palette. Policies and planners never share a figure.
const places: Readonly<Record<string, number>> = {
	...{ full: 0, oracle: 1, "paged-eviction": 2, "streaming-llm": 3, "inverse-key-norm": 4, "key-diff": 5 },
	...{ random: 6, "snap-kv": 7, tova: 8, h2o: 9 },
	...{ "deep-optimizer-states": 0, "zero-offload-async": 1, octavo: 2, twinflow: 3, "on-device": 4, "zero-offload": 6 },
};

const dashes = ["solid", "dash", "dashdot"] as const;

/**
 * Looks of all lines of a figure, in the order of their names. A name that only begins with one of ours
 * (`deep-optimizer-states k=2`) takes its look where it is free; others take what is left, in order.
 */
export function looksOf(names: readonly string[]): Look[] {
	const taken = new Set<number>();
	const placeOf = new Array<number | undefined>(names.length);
	const take = (line: number, place: number | undefined) => {
		if (placeOf[line] !== undefined || place === undefined || taken.has(place)) return;
		placeOf[line] = place;
		taken.add(place);
	};
	for (const [line, name] of names.entries()) take(line, places[name]);
	for (const [line, name] of names.entries()) take(line, places[name.split(" ")[0]!]);
	const left = palette.map((_, place) => place).filter((place) => !taken.has(place));
	let numOthers = 0;
	return names.map((name, line) => {
		let [place, round] = [placeOf[line], 0];
		if (place === undefined) {
			// Beyond the palette its colours come again, dashed.
			const extra = numOthers - left.length;
			place = left[numOthers++] ?? extra % palette.length;
			round = extra < 0 ? 0 : 1 + Math.floor(extra / palette.length);
		}
		return {
			color: palette[place]!,
			symbol: symbols[place]!,
			dash: name === "random" ? "dot" : dashes[round % dashes.length]!,
		};
	});
}
