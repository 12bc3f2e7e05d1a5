// Positions of generated code and of its source, against Node's own reader of source maps.

import assert from "node:assert/strict";
import { SourceMap } from "node:module";
import { test } from "node:test";
import ts from "typescript";
import { LineMap } from "../kernel/debug/line-map.js";

const source = `interface Gone { a: number }
const first: number = 1; const second = first as number + 2;

// a comment that goes
function twice(value: number): number {
	return value
		* 2;
}
export const name = \`\${twice(second)} \${[1, 2].map((one) => one + first).join()}\`;
enum Kind { one, two }
`;

function compiled(): { text: string; json: string } {
	const { outputText, sourceMapText } = ts.transpileModule(source, {
		compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS, sourceMap: true },
	});
	return { text: outputText, json: sourceMapText! };
}

test("every place of the generated code comes from where Node says", () => {
	const { text, json } = compiled();
	const map = LineMap.parse(json);
	const oracle = new SourceMap(JSON.parse(json));
	let numCompared = 0;
	for (const [line, content] of text.split("\n").entries()) {
		for (let column = 0; column <= content.length; column++) {
			const found = oracle.findEntry(line, column) as {
				generatedLine?: number;
				originalLine: number;
				originalColumn: number;
			};
			// Node goes back over lines, and says nothing of code before a line's first; both are ours to decide.
			if (found.generatedLine !== line) continue;
			assert.deepEqual(map.toSource({ line, column }), { line: found.originalLine, column: found.originalColumn });
			numCompared++;
		}
	}
	assert.ok(numCompared > 200, `${numCompared}`);
});

test("a line's place in the generated code leads back to it; a line without code gives way to the next", () => {
	const { text, json } = compiled();
	const map = LineMap.parse(json);
	const oracle = new SourceMap(JSON.parse(json));
	const withCode = new Set<number>();
	for (const [line, content] of text.split("\n").entries())
		for (let column = 0; column <= content.length; column++) {
			const { originalLine } = oracle.findEntry(line, column) as { originalLine?: number };
			if (originalLine !== undefined) withCode.add(originalLine);
		}
	const lines = source.split("\n");
	assert.ok(withCode.size < lines.length, "some lines have no code");
	for (const line of lines.keys()) {
		const next = [...withCode].sort((a, b) => a - b).find((one) => one >= line);
		const place = map.toGenerated(line);
		assert.equal(place && map.toSource(place)!.line, next, `line ${line}`);
	}
	const column = lines[1]!.indexOf("const second");
	const { line, column: at } = map.toSource(map.toGenerated(1, column)!)!;
	assert.ok(line === 1 && at >= column, `${line}:${at}`);
	assert.equal(map.shifted(0, 3).toSource(map.toGenerated(5)!)!.line, 8);
});
