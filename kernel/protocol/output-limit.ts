// How much text one cell may print. A page dies of a hundred megabytes, and so would whoever keeps them: what goes beyond the
// limit is counted and dropped but for its end, which often says what went wrong, and is shown when the cell is over.

import { OctavoError, received } from "../../sdk/errors.js";
import type { StreamName } from "./outlet.js";

/** Text that a cell may print, in MiB, where the environment variable OCTAVO_OUTPUT_LIMIT says nothing. */
const defaultMiB = 16;
/** Of what is dropped, so much of the end of each stream is kept, in UTF-16 units. */
const tailLength = 16 * 1024;

/**
 * Reads the limit from the environment.
 *
 * @returns UTF-16 units
 * @throws {OctavoError} ERR_OCTAVO_OPTION when OCTAVO_OUTPUT_LIMIT is no number above 0
 */
export function outputLimit(environment: NodeJS.ProcessEnv = process.env): number {
	const given = environment.OCTAVO_OUTPUT_LIMIT;
	const mebibytes = given === undefined || given === "" ? defaultMiB : Number(given);
	if (mebibytes > 0) return mebibytes * 1024 * 1024;
	const expected = "a number of MiB above 0 in OCTAVO_OUTPUT_LIMIT";
	throw new OctavoError("ERR_OCTAVO_OPTION", `Expected ${expected} but received ${received(given)}`);
}

/** Counts what one cell prints. */
export class OutputLimit {
	readonly #limit: number;
	readonly #show: (name: StreamName, text: string) => void;
	#length = 0;
	#dropped = 0;
	#tails: Record<StreamName, string> = { stdout: "", stderr: "" };

	/**
	 * @param limit UTF-16 units a cell
	 * @param show shows text
	 */
	constructor(limit: number, show: (name: StreamName, text: string) => void) {
		this.#limit = limit;
		this.#show = show;
	}

	/**
	 * Shows text, as far as the cell may.
	 *
	 * @param show shows this text; default as all of the cell's
	 */
	write(name: StreamName, text: string, show = this.#show): void {
		const room = this.#limit - this.#length;
		this.#length += text.length;
		if (text.length <= room) {
			show(name, text);
			return;
		}
		const shown = wholeCharacters(text, Math.max(0, room));
		if (this.#dropped === 0) {
			if (shown > 0) show(name, text.slice(0, shown));
			show(
				"stderr",
				`\nOutput limit reached: this cell has printed more than ${megabytes(this.#limit)}. What follows is dropped but for its end; OCTAVO_OUTPUT_LIMIT sets the limit, in MiB.\n`,
			);
		}
		const rest = text.slice(shown);
		this.#dropped += rest.length;
		this.#tails[name] = (this.#tails[name] + rest.slice(-tailLength)).slice(-tailLength);
	}

	/** Says that the cell is over: shows the end of what was dropped. */
	end(): void {
		if (this.#dropped === 0) return;
		const { stdout, stderr } = this.#tails;
		const left = this.#dropped - stdout.length - stderr.length;
		if (left > 0) this.#show("stderr", `… ${megabytes(left)} left out …\n`);
		for (const [name, tail] of Object.entries(this.#tails) as [StreamName, string][]) {
			// Half a character at the cut would be none.
			const whole = tail.length === tailLength && isLowSurrogate(tail, 0) ? tail.slice(1) : tail;
			if (whole !== "") this.#show(name, whole);
		}
		this.#length = 0;
		this.#dropped = 0;
		this.#tails = { stdout: "", stderr: "" };
	}
}

/** Of `length` units, as many as end with a whole character. */
function wholeCharacters(text: string, length: number): number {
	return isLowSurrogate(text, length) ? Math.max(0, length - 1) : length;
}

function isLowSurrogate(text: string, at: number): boolean {
	const unit = text.charCodeAt(at);
	return unit >= 0xdc00 && unit <= 0xdfff;
}

function megabytes(units: number): string {
	return units < 100_000 ? `${units} characters` : `${(units / 1e6).toFixed(1)} million characters`;
}
