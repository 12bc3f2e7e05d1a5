// Positions of generated code and of the source it was made from, both ways. Node's own SourceMap looks up one way only,
// and a breakpoint needs the other. Lines and columns count from 0 here.

/** A place in a text; line and column from 0. */
export interface Place {
	line: number;
	column: number;
}

interface Segment {
	generated: Place;
	source: Place;
}

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const digitValues = new Map([...digits].map((digit, value) => [digit, value]));

/** Maps between one source and what was generated from it. */
export class LineMap {
	/** By generated line, in order of column. */
	readonly #lines: Segment[][] = [];
	readonly #bySource = new Map<number, Segment[]>();
	readonly #lastLine;

	private constructor(segments: readonly Segment[]) {
		let lastLine = 0;
		for (const segment of segments) {
			this.#lines[segment.generated.line] ??= [];
			this.#lines[segment.generated.line]!.push(segment);
			const { line } = segment.source;
			const found = this.#bySource.get(line);
			if (found) found.push(segment);
			else this.#bySource.set(line, [segment]);
			lastLine = Math.max(lastLine, line);
		}
		this.#lastLine = lastLine;
	}

	/** Reads the `mappings` of a source map (revision 3) with one source. */
	static parse(json: string): LineMap {
		const { mappings } = JSON.parse(json) as { mappings: string };
		const segments: Segment[] = [];
		const source = { line: 0, column: 0 };
		mappings.split(";").forEach((text, line) => {
			let column = 0;
			for (const group of text === "" ? [] : text.split(",")) {
				const [toColumn, , toLine, toSourceColumn] = decode(group);
				column += toColumn!;
				if (toLine === undefined || toSourceColumn === undefined) continue;
				source.line += toLine;
				source.column += toSourceColumn;
				segments.push({ generated: { line, column }, source: { ...source } });
			}
		});
		return new LineMap(segments);
	}

	/** The map after the generated text's first line and the source's lines have been moved. */
	shifted(generatedColumns: number, sourceLines: number): LineMap {
		const moved = this.#lines.flat().map(({ generated, source }) => ({
			generated: { line: generated.line, column: generated.column + (generated.line === 0 ? generatedColumns : 0) },
			source: { line: source.line + sourceLines, column: source.column },
		}));
		return new LineMap(moved.filter(({ source }) => source.line >= 0));
	}

	/** Where generated code came from; undefined for code that came from nowhere. */
	toSource({ line, column }: Place): Place | undefined {
		const segments = this.#lines[line] ?? [];
		// What a compiler put before a line's first own code belongs to it.
		let found = segments[0];
		for (const segment of segments) {
			if (segment.generated.column > column) break;
			found = segment;
		}
		return found && { ...found.source };
	}

	/**
	 * Where the code of a source line begins; a line that none was made from gives way to the next that has some.
	 *
	 * @param column look at this column or behind it; default the line's first code
	 */
	toGenerated(line: number, column = 0): Place | undefined {
		for (let at = line; at <= this.#lastLine; at++) {
			const segments = this.#bySource.get(at);
			if (!segments) continue;
			const behind = segments.filter(({ source }) => at > line || source.column >= column);
			const first = (behind.length > 0 ? behind : segments).reduce((best, segment) =>
				segment.source.column < best.source.column ? segment : best,
			);
			const { generated } = first;
			// A statement may begin with what the compiler put before it. On the first line a wrapper comes before that.
			const leads = generated.line > 0 && this.#lines[generated.line]?.[0] === first;
			return { line: generated.line, column: leads ? 0 : generated.column };
		}
		return undefined;
	}
}

/** Decodes the base64 variable-length numbers of one segment. */
function decode(group: string): number[] {
	const numbers: number[] = [];
	let value = 0;
	let shift = 0;
	for (const sign of group) {
		const bits = digitValues.get(sign) ?? 0;
		value |= (bits & 31) << shift;
		shift += 5;
		if (bits & 32) continue;
		numbers.push(value & 1 ? -(value >>> 1) : value >>> 1);
		value = 0;
		shift = 0;
	}
	return numbers;
}
