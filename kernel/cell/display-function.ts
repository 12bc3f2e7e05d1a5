// `display` and its helpers, as cells call them. The call gives a promise because values may show themselves
// asynchronously; output keeps its order without `await`. Every output has an id, so that any can be replaced later.

import { html, image, json, latex, markdown, svg } from "../display/index.js";
import type { LaneWriter } from "./buffer-lane.js";
import { Content } from "./content.js";
import type { Outbox } from "./outbox.js";
import type { Bundle, WorkerEvent } from "./protocol.js";

/** How a value is displayed. */
export interface DisplayOptions {
	/** Name of the output; default a new one. Displayed under one name in several places, all of them are replaced. */
	displayId?: string;
	/** Replace the outputs of `displayId` in place of adding one; default false. */
	update?: boolean;
}

/** An output that is there. */
export interface DisplayHandle {
	/** Its name. */
	readonly displayId: string;
	/** Shows another value in its place; settles when that has been sent. */
	update(value: unknown): Promise<void>;
}

/** Shows a value below the cell. */
export interface DisplayFunction {
	/**
	 * Shows a value as the front end can: table, chart, image or text.
	 *
	 * @returns the output, when it has been sent
	 */
	(value: unknown, options?: DisplayOptions): Promise<DisplayHandle>;
	/** Shows HTML. It is not cleaned: scripts in it run. */
	html(text: string, options?: DisplayOptions): Promise<DisplayHandle>;
	/** Shows Markdown. */
	markdown(text: string, options?: DisplayOptions): Promise<DisplayHandle>;
	/** Shows LaTeX; without dollar signs it is set as a formula of its own. */
	latex(text: string, options?: DisplayOptions): Promise<DisplayHandle>;
	/** Shows a value as JSON, which front ends fold. */
	json(value: unknown, options?: DisplayOptions): Promise<DisplayHandle>;
	/** Shows an SVG drawing, from its text. */
	svg(text: string, options?: DisplayOptions): Promise<DisplayHandle>;
	/**
	 * Shows an image: PNG, JPEG, GIF, WebP or SVG, which the bytes tell.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_DISPLAY for bytes of none of these; the promise rejects
	 */
	image(bytes: Uint8Array, options?: DisplayOptions): Promise<DisplayHandle>;
	/** `clearOutput`. */
	clear(options?: ClearOptions): void;
}

/** How output is cleared. */
export interface ClearOptions {
	/** Wait for the next output, to avoid flicker; default false. */
	wait?: boolean;
}

/** What `display` has given: promises and outputs. */
const displayed = new WeakSet<object>();

/** Whether a value stands for an output that is there already, so that a cell that ends with it shows nothing more. */
export function isDisplayed(value: unknown): boolean {
	return typeof value === "object" && value !== null && displayed.has(value);
}

function note<T extends object>(given: T): T {
	displayed.add(given);
	return given;
}

/** The id under which a value wants to be displayed, as it replaces its output itself; undefined for other values. */
export function ownDisplayId(value: unknown): string | undefined {
	if (typeof value !== "object" || value === null) return undefined;
	try {
		const id: unknown = Reflect.get(value, Symbol.for("octavo.displayId"));
		return typeof id === "string" ? id : undefined;
	} catch {
		return undefined;
	}
}

/**
 * Makes the function.
 *
 * @param outbox gives that of the code which displays
 * @param toBundle shows a value
 * @param lane takes large contents
 */
export function makeDisplay(
	outbox: () => Outbox,
	toBundle: (value: unknown) => Promise<Bundle>,
	lane: LaneWriter,
): DisplayFunction {
	const make = async (value: unknown, display_id: string, update: boolean): Promise<WorkerEvent> => {
		const { data, metadata } = await toBundle(value);
		return { type: "display", content: new Content(lane, { data, metadata, transient: { display_id } }), update };
	};
	const send = (value: unknown, displayId: string, update: boolean) => outbox().later(make(value, displayId, update));
	const start = async (
		make: () => unknown,
		{ displayId, update = false }: DisplayOptions = {},
	): Promise<DisplayHandle> => {
		const value = make();
		const id = displayId ?? ownDisplayId(value) ?? crypto.randomUUID();
		await send(value, id, update);
		return note({ displayId: id, update: (next: unknown) => note(send(next, id, true)) });
	};
	const show = (value: unknown, options?: DisplayOptions) => note(start(() => value, options));
	return Object.assign(show, {
		html: (text: string, options?: DisplayOptions) => show(html(text), options),
		markdown: (text: string, options?: DisplayOptions) => show(markdown(text), options),
		latex: (text: string, options?: DisplayOptions) => show(latex(text), options),
		json: (value: unknown, options?: DisplayOptions) => show(json(value), options),
		svg: (text: string, options?: DisplayOptions) => show(svg(text), options),
		image: (bytes: Uint8Array, options?: DisplayOptions) => note(start(() => image(bytes), options)),
		clear: ({ wait = false }: ClearOptions = {}) => outbox().event({ type: "clear", wait }),
	});
}
