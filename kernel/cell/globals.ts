// What every cell sees without an import. The compiler reads this file's declarations; `installGlobals` makes them true.

import type { Comms } from "./comms.js";
import type { ClearOptions, DisplayFunction } from "./display-function.js";
import type { ConfirmFunction, PromptFunction } from "./input.js";
import type { InstallFunction } from "./install.js";
import type { ProgressFunction } from "./progress.js";

declare global {
	/** Shows a value below the cell. */
	var display: DisplayFunction;
	/** Clears the cell's output. */
	function clearOutput(options?: ClearOptions): void;
	/** Shows how far something has come. */
	var progress: ProgressFunction;
	/**
	 * Adds packages to the notebook's folder with npm; the next cell can import them.
	 *
	 * @param packages names such as `lodash`, `npm:d3@7`, or paths that begin with `./`
	 * @throws {OctavoError} ERR_OCTAVO_PACKAGE_NAME for what is no package; ERR_OCTAVO_INSTALL when npm fails
	 */
	var install: InstallFunction;
	/** Channels to what runs in the front end. */
	var comms: Comms;
	interface ImportMeta {
		/** Path of the file; a cell's is not there. */
		filename: string;
		/** The notebook's folder, or the file's. */
		dirname: string;
	}
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

/** What {@link installGlobals} puts in place. */
export interface CellGlobals {
	display: DisplayFunction;
	clearOutput: (options?: ClearOptions) => void;
	progress: ProgressFunction;
	install: InstallFunction;
	comms: Comms;
	prompt: PromptFunction;
	confirm: ConfirmFunction;
}

/** Puts the globals in place. */
export function installGlobals(globals: CellGlobals): void {
	for (const [name, value] of Object.entries(globals)) {
		Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
	}
}
