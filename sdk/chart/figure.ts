// A figure as plain data: what plotly draws, with no plotly here. A front end that knows plotly's MIME type draws it; a
// kernel may add HTML for those that do not.

import { OctavoError, received } from "../errors.js";

/** One trace of a plotly figure: `type`, and the attributes of that type. */
export type PlotlyTrace = Record<string, unknown>;

/** What a `Figure` is made of, in plotly's terms. */
export interface FigureParts {
	/** Traces of plotly. */
	data: PlotlyTrace[];
	/** Layout of plotly. */
	layout?: Record<string, unknown>;
	/** Configuration of plotly. */
	config?: Record<string, unknown>;
}

/**
 * A figure in plotly's terms, which shows itself in a notebook. The same input gives the same figure, to the byte of its
 * JSON.
 *
 * @example
 * ```ts
 * import { chart } from "octavo";
 * const figure = new chart.Figure({ data: [{ type: "bar", y: [1, 3, 2] }], layout: { title: { text: "Three bars" } } });
 * console.log(figure.title, JSON.stringify(figure).length > 50);   // Three bars true
 * ```
 */
export class Figure {
	/** Traces of plotly. */
	readonly data: PlotlyTrace[];
	/** Layout of plotly. */
	readonly layout: Record<string, unknown>;
	/** Configuration of plotly. */
	readonly config: Record<string, unknown>;

	/** @throws {OctavoError} ERR_OCTAVO_CHART when `data` is not an array */
	constructor({ data, layout = {}, config = {} }: FigureParts) {
		if (!Array.isArray(data)) {
			throw new OctavoError("ERR_OCTAVO_CHART", `Expected an array of traces for data but received ${received(data)}`);
		}
		this.data = data;
		this.layout = layout;
		this.config = config;
	}

	/** Title as plain text; empty without one. */
	get title(): string {
		const { title } = this.layout as { title?: string | { text?: string } };
		return (typeof title === "string" ? title : (title?.text ?? "")).replace(/<[^>]*>/g, " ").trim();
	}

	/** The parts, for `JSON.stringify`. */
	toJSON(): Required<FigureParts> {
		return { data: this.data, layout: this.layout, config: this.config };
	}

	/** The figure for plotly, and a line of text. */
	[Symbol.for("Jupyter.display")](): Record<string, unknown> {
		const count = `${this.data.length} ${this.data.length === 1 ? "trace" : "traces"}`;
		return {
			"application/vnd.plotly.v1+json": this.toJSON(),
			"text/plain": `Figure: ${this.title || "untitled"} (${count})`,
		};
	}
}
