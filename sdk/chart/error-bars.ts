// Confidence intervals as plotly draws them: alike in every figure, and never symmetric, since a bootstrap interval is not.

import type { Interval } from "./bootstrap.js";
import { round } from "./theme.js";

/**
 * Bars from the low to the high end of each interval, for the attribute `error_x` or `error_y` of points at the means.
 *
 * @param color default: that of the points. Columns need one, as plotly's own is lost on dark pages.
 */
export function errorBars(intervals: readonly Interval[], color?: string): object {
	return {
		...(color === undefined ? {} : { color }),
		type: "data",
		symmetric: false,
		array: intervals.map(({ mean, high }) => round(high - mean)),
		arrayminus: intervals.map(({ mean, low }) => round(mean - low)),
		thickness: 1.2,
		width: 4,
	};
}
