// What every cell sees without an import. The compiler reads this file's declarations; `installGlobals` makes them true.
// `display` gives a promise because values may show themselves asynchronously; output keeps its order without `await`.

import { html, markdown } from "../display/index.js";
import type { Comms } from "./comms.js";

/** How a value is displayed. */
export interface DisplayOptions {
	/** Name under which a later call with `update` replaces this output. */
	id?: string;
	/** Replace the outputs displayed under `id`; default false. */
	update?: boolean;
}

/** Shows a value below the cell. */
export interface DisplayFunction {
	/** Shows a value as the front end can: table, chart, image or text. Settles when it has been sent. */
	(value: unknown, options?: DisplayOptions): Promise<void>;
	/** Shows HTML. It is not cleaned: scripts in it run. */
	html(text: string, options?: DisplayOptions): Promise<void>;
	/** Shows Markdown. */
	markdown(text: string, options?: DisplayOptions): Promise<void>;
	/** Clears the cell's output; `wait` (default false) waits for the next output, to avoid flicker. */
	clear(wait?: boolean): void;
}

declare global {
	/** Shows a value below the cell. */
	var display: DisplayFunction;
	/** Channels to what runs in the front end. */
	var comms: Comms;
	// Functions with members, which merge with a browser's own declarations where a package brings those in.
	/**
	 * Asks the user for a line of text.
	 *
	 * @param text what the user sees; default nothing
	 * @param fallback given for an empty answer. Default ""
	 * @throws {OctavoError} ERR_OCTAVO_STDIN where no cell runs, or the front end takes no questions (nbconvert does not)
	 */
	function prompt(text?: string, fallback?: string): Promise<string>;
	namespace prompt {
		/** Asks for a line that the front end does not show, such as a password. */
		function hidden(text?: string): Promise<string>;
		/** Asks, and blocks until the answer is there. */
		function sync(text?: string, fallback?: string): string;
		/** `prompt.hidden`, blocking. */
		function hiddenSync(text?: string): string;
	}
	/** Asks until the answer is y, yes, n or no, in any case. @throws {OctavoError} ERR_OCTAVO_STDIN as `prompt` */
	function confirm(text?: string): Promise<boolean>;
	namespace confirm {
		/** The same, blocking. */
		function sync(text?: string): boolean;
	}
}

/** Puts the globals in place. */
export function installGlobals(
	show: (value: unknown, options: DisplayOptions) => Promise<void>,
	clear: (wait: boolean) => void,
): void {
	const display: DisplayFunction = Object.assign(
		(value: unknown, options: DisplayOptions = {}) => show(value, options),
		{
			html: (text: string, options: DisplayOptions = {}) => show(html(text), options),
			markdown: (text: string, options: DisplayOptions = {}) => show(markdown(text), options),
			clear: (wait = false) => clear(wait),
		},
	);
	Object.defineProperty(globalThis, "display", { value: display, writable: true, configurable: true });
}
