// Inputs and outputs of this and earlier sessions. Each session has a file of its own below the Jupyter data folder, so
// that kernels which run at once never write to the same one; its name is the session's number. OCTAVO_HISTORY=0 keeps
// history in memory.

import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { jupyterDataDir } from "../kernelspec.js";

/** One executed input. */
export interface HistoryEntry {
	session: number;
	/** Execution count. */
	line: number;
	code: string;
	/** Plain text of the result, null where there was none. */
	output: string | null;
}

/** Sessions kept; older ones are removed. */
const maxSessions = 500;
/** Size of all sessions kept, in bytes. */
const maxBytes = 16 * 1024 * 1024;
/** Entries of this session kept in memory. */
const maxEntries = 10_000;
/** Their texts, in UTF-16 units; the oldest go first, the newest stays whatever its length. */
const maxLength = 8 * 1024 * 1024;
/** Longest input and output written to the file, in UTF-16 units; longer ones are known to this session only. */
const maxText = 65_536;

/** The history of one kernel session, and what earlier ones left. */
export class HistoryStore {
	readonly #folder: string | undefined;
	#entries: HistoryEntry[] = [];
	#length = 0;
	/** False where the folder could not be written to when the session began. */
	#isKept = true;
	/** True when the last write failed, and may have left part of a line. */
	#isTorn = false;
	#number: number | undefined;
	#writing: Promise<void> = Promise.resolve();

	/** @param folder where sessions lie; undefined keeps history in memory. Default: below the Jupyter data folder */
	constructor(
		folder: string | undefined = process.env.OCTAVO_HISTORY === "0"
			? undefined
			: join(jupyterDataDir(), "octavo", "history"),
	) {
		this.#folder = folder;
	}

	/** Number of this session; taken when its first input is kept. */
	get session(): number {
		this.#number ??= this.#takeNumber();
		return this.#number;
	}

	/** Entries of this session, oldest first. */
	get current(): readonly HistoryEntry[] {
		return this.#entries;
	}

	/** Keeps an input. */
	add(line: number, code: string): void {
		this.#entries.push({ session: this.session, line, code, output: null });
		this.#length += code.length;
		this.#forgetOld();
		if (code.length <= maxText) this.#append({ line, code });
	}

	/** Keeps the output of an input. */
	addOutput(line: number, output: string): void {
		const entry = this.#entries.findLast((one) => one.line === line);
		if (entry) {
			this.#length += output.length - (entry.output?.length ?? 0);
			entry.output = output;
			this.#forgetOld();
		}
		if (output.length <= maxText) this.#append({ line, output });
	}

	/** Numbers of the earlier sessions that are kept, oldest first. */
	earlier(): number[] {
		return this.#sessions().filter((number) => number !== this.#number);
	}

	/** Entries of a session, oldest first; none where it is not kept. */
	read(session: number): readonly HistoryEntry[] {
		if (session === this.#number) return this.#entries;
		const entries: HistoryEntry[] = [];
		let text: string;
		try {
			text = readFileSync(this.#path(session), "utf8");
		} catch {
			return entries;
		}
		for (const line of text.split("\n")) {
			const record = parseRecord(line);
			if (!record) continue;
			if (typeof record.code === "string") {
				entries.push({ session, line: record.line, code: record.code, output: null });
			} else if (typeof record.output === "string") {
				const entry = entries.findLast((one) => one.line === record.line);
				if (entry) entry.output = record.output;
			}
		}
		return entries;
	}

	/** Settles when everything has been written. */
	close(): Promise<void> {
		return this.#writing;
	}

	#path(session: number): string {
		return join(this.#folder ?? "", `${String(session).padStart(8, "0")}.jsonl`);
	}

	#sessions(): number[] {
		if (this.#folder === undefined) return [];
		try {
			const names = readdirSync(this.#folder).filter((name) => /^\d{8,}\.jsonl$/.test(name));
			return names.map((name) => Number.parseInt(name, 10)).sort((one, other) => one - other);
		} catch {
			return [];
		}
	}

	/** Half at a time, so that this is seldom. */
	#forgetOld(): void {
		const { length: count } = this.#entries;
		if (count <= maxEntries && this.#length <= maxLength) return;
		let from = count - 1;
		let length = lengthOf(this.#entries[from]!);
		while (from > 0 && count - from < maxEntries / 2) {
			const next = length + lengthOf(this.#entries[from - 1]!);
			if (next > maxLength / 2) break;
			length = next;
			from--;
		}
		this.#entries = this.#entries.slice(from);
		this.#length = length;
	}

	#takeNumber(): number {
		if (this.#folder === undefined) return 1;
		try {
			mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
			const sessions = this.#sessions();
			this.#removeOld(sessions);
			for (let number = (sessions.at(-1) ?? 0) + 1; ; number++) {
				try {
					writeFileSync(this.#path(number), "", { flag: "wx", mode: 0o600 });
					return number;
				} catch (error) {
					// Another kernel took it at the same moment.
					if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
				}
			}
		} catch (error) {
			process.stderr.write(`octavo: history is kept in memory only: ${(error as Error).message}\n`);
			this.#isKept = false;
			return (this.#sessions().at(-1) ?? 0) + 1;
		}
	}

	#removeOld(sessions: readonly number[]): void {
		let bytes = 0;
		for (const [age, number] of [...sessions].reverse().entries()) {
			const path = this.#path(number);
			bytes += statSync(path, { throwIfNoEntry: false })?.size ?? 0;
			if (age + 1 >= maxSessions || bytes > maxBytes) rmSync(path, { force: true });
		}
	}

	#append(record: object): void {
		const path = this.#path(this.session);
		if (this.#folder === undefined || !this.#isKept) return;
		const text = `${JSON.stringify(record)}\n`;
		// A full disk must not fail a cell, nor cost the next line when there is room again.
		this.#writing = this.#writing
			.then(() => appendFile(path, this.#isTorn ? `\n${text}` : text))
			.then(
				() => {
					this.#isTorn = false;
				},
				() => {
					this.#isTorn = true;
				},
			);
	}
}

function lengthOf({ code, output }: HistoryEntry): number {
	return code.length + (output?.length ?? 0);
}

/** Reads one line; a kernel that was killed may have left half of one. */
function parseRecord(line: string): { line: number; code?: unknown; output?: unknown } | undefined {
	if (line === "") return undefined;
	try {
		const record = JSON.parse(line);
		return Number.isInteger(record?.line) ? record : undefined;
	} catch {
		return undefined;
	}
}
