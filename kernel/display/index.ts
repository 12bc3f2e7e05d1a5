// The display of one kernel session: values → MIME bundles. It knows which cell carries plotly.js, so that a notebook
// holds that script once: when that cell runs again its output is replaced, and the next figure carries it anew.

import { bundleOf, type MimeBundle } from "./mime.js";
import { addPlotlyTwin } from "./plotly-html.js";

export { html, image, json, latex, markdown, svg } from "./helpers.js";
export type { MimeBundle } from "./mime.js";

/** Turns the values of one kernel session into MIME bundles. */
export interface Display {
	/**
	 * Says that a cell begins to run, and its earlier outputs go.
	 *
	 * @param cell what tells the cell from others: the front end's id of it, or its source where there is none
	 */
	beginCell(cell: string): void;

	/**
	 * What a front end shows for a value. Never rejects: a value that fails to show itself is shown as text, with the
	 * error noted. `data` has `text/plain` and is ready for JSON.
	 *
	 * @param cell the cell that shows it; default the one that began last
	 */
	toMimeBundle(value: unknown, cell?: string): Promise<MimeBundle>;
}

/**
 * Makes the display of a kernel session. A restarted kernel needs a new one.
 *
 * @param explain tells of an error that is a value, in place of its stack; default as Node.js does
 * @param mapped puts the frames of stacks within a value's text in place; default leaves them
 */
export function createDisplay(
	explain?: (error: Error) => string,
	mapped: (text: string) => string = (text) => text,
): Display {
	let newest = "";
	let carrier: string | undefined;
	return {
		beginCell(started) {
			newest = started;
			if (carrier === started) carrier = undefined;
		},
		async toMimeBundle(value, cell = newest) {
			const bundle = await bundleOf(value);
			const text = bundle.data["text/plain"];
			if (explain && isPlainError(value)) bundle.data["text/plain"] = explain(value);
			else if (typeof text === "string") bundle.data["text/plain"] = mapped(text);
			if (await addPlotlyTwin(bundle, carrier === undefined)) carrier = cell;
			return bundle;
		},
	};
}

/** Whether a value is an error that does not show itself. */
function isPlainError(value: unknown): value is Error {
	try {
		return value instanceof Error && !(Symbol.for("Jupyter.display") in value);
	} catch {
		return false;
	}
}
