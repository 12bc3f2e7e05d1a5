// Training runs as rows of a CSV file: what was trained and, where it was measured, how long each phase took. Every
// value is checked, and refused by column and line, as a silent NaN would move a whole calibration.

import { OctavoError, received } from "../errors.js";
import { nearest } from "../options.js";
import {
	checkConfiguration,
	defaultBucketElements,
	defaultVocabularySize,
	formSubgroups,
	parameterNumels,
	type TrainingConfiguration,
} from "../train/schedule/configuration.js";

/** Which published code ran: v1 and v2 have one copy stream, v3 has three and a downscale thread. */
export type CodeVariant = "v1" | "v2" | "v3";

/** `S0` zero-offload, `S1` zero-offload-async, `S2` deep-optimizer-states; with a ratio below 1 also TwinFlow. */
export type RunSchedule = "S0" | "S1" | "S2";

/** Times in milliseconds, medians over iterations. */
export interface MeasuredTimes {
	/** In milliseconds. */
	readonly forwardMs: number;
	/** In milliseconds. */
	readonly backwardMs: number;
	/** In milliseconds. */
	readonly updateMs: number;
	/** In milliseconds. */
	readonly iterationMs: number;
}

/** One run. */
export interface Run {
	/** Name of the run. */
	readonly id: string;
	/** Line of the file it was read from, from 1; absent when it was not. */
	readonly line?: number;
	/** Name of its hardware as in the file: `H100-bound`. */
	readonly profile: string;
	/** What was trained. */
	readonly configuration: TrainingConfiguration;
	/** Which schedule ran. */
	readonly schedule: RunSchedule;
	/** Update stride k; 0 for S0 and S1. */
	readonly stride: number;
	/** Which of the authors' codes ran. */
	readonly code: CodeVariant;
	/** What was measured. */
	readonly measured?: MeasuredTimes;
	/** What the file's author meant it for; absent when the file does not say. */
	readonly use?: "calibration" | "reference";
}

const required = [
	"id",
	"profile",
	"layers",
	"hidden",
	"ffn",
	"heads",
	"kv_heads",
	"seq",
	"nodes",
	"dp",
	"tp",
	"mbs",
	"grad_accum",
	"ratio",
	"subgroup_size",
	"schedule",
	"k",
	"code_variant",
] as const;
const measuredColumns = ["fwd_ms", "bwd_ms", "update_ms", "iter_ms"] as const;

/** Splits CSV text into rows of fields; quoted fields may hold commas, quotes (doubled) and line breaks. */
export function parseCsv(text: string): { line: number; fields: string[] }[] {
	const rows: { line: number; fields: string[] }[] = [];
	let fields: string[] = [];
	let field = "";
	let quoted = false;
	let line = 1;
	let rowLine = 1;
	const endRow = (): void => {
		fields.push(field);
		if (fields.length > 1 || fields[0] !== "") rows.push({ line: rowLine, fields });
		fields = [];
		field = "";
	};
	for (let i = 0; i < text.length; i++) {
		const char = text[i]!;
		if (char === "\n") line++;
		if (quoted) {
			if (char !== '"') field += char;
			else if (text[i + 1] === '"') field += text[++i];
			else quoted = false;
		} else if (char === '"' && field === "") quoted = true;
		else if (char === ",") {
			fields.push(field);
			field = "";
		} else if (char === "\n") {
			endRow();
			rowLine = line;
		} else if (char !== "\r") field += char;
	}
	if (quoted) throw new OctavoError("ERR_OCTAVO_RUNS", `Expected a closing quote for the row of line ${rowLine}`);
	endRow();
	return rows;
}

/**
 * Reads runs from CSV text with a header line. Needs the columns of a configuration; `subgroup_numels`,
 * `suggested_use` and the four measured times may be absent.
 *
 * @throws {OctavoError} ERR_OCTAVO_RUNS naming the column and the line
 */
export function parseRuns(text: string): Run[] {
	const [header, ...rows] = parseCsv(text.replace(/^\ufeff/, ""));
	if (!header) throw new OctavoError("ERR_OCTAVO_RUNS", "Expected a header line but received an empty file");
	for (const name of required) {
		if (header.fields.includes(name)) continue;
		const near = nearest(name, header.fields);
		const hint = near ? `; is it the column ${near}?` : "";
		throw new OctavoError(
			"ERR_OCTAVO_RUNS",
			`Expected a column ${name} but received none (line ${header.line})${hint}`,
		);
	}
	const seen = new Set<string>();
	return rows.map(({ line, fields }) => {
		if (fields.length !== header.fields.length) {
			const message = `Expected ${header.fields.length} fields on line ${line} but received ${fields.length}`;
			throw new OctavoError("ERR_OCTAVO_RUNS", message);
		}
		const run = new RowReader(new Map(header.fields.map((name, index) => [name, fields[index]!])), line).read();
		if (seen.has(run.id))
			throw new OctavoError("ERR_OCTAVO_RUNS", `Expected another id than ${run.id} on line ${line}`);
		seen.add(run.id);
		return run;
	});
}

class RowReader {
	constructor(
		private readonly row: ReadonlyMap<string, string>,
		private readonly line: number,
	) {}

	read(): Run {
		const schedule = this.#oneOf("schedule", ["S0", "S1", "S2"]);
		const stride = this.#count("k", 0);
		if (schedule === "S2" && stride < 2) this.#refuse("k", "at least 2 for S2");
		const measured = this.#measured();
		const use = this.row.get("suggested_use") ? this.#oneOf("suggested_use", ["calibration", "reference"]) : undefined;
		return {
			id: this.#text("id"),
			line: this.line,
			profile: this.#text("profile"),
			configuration: this.#configuration(),
			schedule,
			stride,
			code: this.#oneOf("code_variant", ["v1", "v2", "v3"], (text) => text.slice(0, 2)),
			...(measured ? { measured } : {}),
			...(use ? { use } : {}),
		};
	}

	#configuration(): TrainingConfiguration {
		const ratio = this.#number("ratio");
		if (ratio > 1) this.#refuse("ratio", "a number from 0 to 1");
		const model = {
			numLayers: this.#count("layers"),
			hiddenSize: this.#count("hidden"),
			ffnSize: this.#count("ffn"),
			numHeads: this.#count("heads"),
			numKvHeads: this.#count("kv_heads"),
			sequenceLength: this.#count("seq"),
			vocabularySize: defaultVocabularySize,
		};
		const [dataParallel, tensorParallel] = [this.#count("dp"), this.#count("tp")];
		const subgroupSize = this.#count("subgroup_size");
		const given = this.row.get("subgroup_numels") ?? "";
		const configuration: TrainingConfiguration = {
			model,
			numNodes: this.#count("nodes"),
			dataParallel,
			tensorParallel,
			microBatchSize: this.#count("mbs"),
			gradientAccumulation: this.#count("grad_accum"),
			subgroupNumels:
				given === ""
					? formSubgroups(parameterNumels(model), dataParallel * tensorParallel, subgroupSize)
					: given.split(/\s+/).map((text) => this.#parse("subgroup_numels", text, 1)),
			offloadRatio: ratio,
			bucketElements: defaultBucketElements,
		};
		try {
			checkConfiguration(configuration);
		} catch (error) {
			throw new OctavoError("ERR_OCTAVO_RUNS", `${(error as Error).message} on line ${this.line}`, { cause: error });
		}
		return configuration;
	}

	#measured(): MeasuredTimes | undefined {
		if (measuredColumns.some((name) => !this.row.get(name))) return undefined;
		const [forwardMs, backwardMs, updateMs, iterationMs] = measuredColumns.map((name) => {
			const value = this.#number(name);
			if (value === 0) this.#refuse(name, "a time above 0");
			return value;
		});
		return { forwardMs: forwardMs!, backwardMs: backwardMs!, updateMs: updateMs!, iterationMs: iterationMs! };
	}

	#refuse(name: string, expected: string): never {
		const message = `Expected ${expected} for ${name} on line ${this.line} but received ${received(this.row.get(name))}`;
		throw new OctavoError("ERR_OCTAVO_RUNS", message);
	}

	#text(name: string): string {
		return this.row.get(name) || this.#refuse(name, "a name");
	}

	#number(name: string): number {
		const text = this.row.get(name) ?? "";
		const value = Number(text);
		if (text.trim() === "" || !Number.isFinite(value) || value < 0) this.#refuse(name, "a number, at least 0,");
		return value;
	}

	#parse(name: string, text: string, least: number): number {
		const value = Number(text);
		if (text.trim() === "" || !Number.isSafeInteger(value) || value < least) {
			this.#refuse(name, `whole numbers, at least ${least},`);
		}
		return value;
	}

	#count(name: string, least = 1): number {
		return this.#parse(name, this.row.get(name) ?? "", least);
	}

	#oneOf<const T extends string>(name: string, values: readonly T[], cut = (text: string) => text): T {
		const value = cut(this.row.get(name) ?? "");
		if (!(values as readonly string[]).includes(value)) this.#refuse(name, `one of ${values.join(", ")}`);
		return value as T;
	}
}
