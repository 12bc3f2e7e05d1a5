// The cells that README.md shows run as they stand there, in one notebook.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { checkNotebook, type Output } from "../kernel/client/notebook.js";
import { runNotebook } from "../kernel/client/run-notebook.js";
import { startTestServer } from "./helpers/server.js";

// The table that README.md shows is what its first cell gives: words to the letter, numbers but for an instruction set's rounding.
function checkTable(readme: string, output: Output | undefined): void {
	assert.ok(output?.output_type === "execute_result");
	const split = (text: string) => text.split("\n").map((line) => line.trim().split(/\s+/));
	const given = split([output.data["text/plain"]].flat().join(""));
	const shown = split(/^```text\n([\s\S]*?)\n```$/m.exec(readme)![1]!).filter(([first]) => first !== "…");
	assert.ok(shown.length >= 4);
	for (const words of shown) {
		const line = given.find(([first]) => first === words[0]);
		assert.equal(line?.length, words.length, words[0]);
		for (const [i, word] of words.entries()) {
			const same = word === line![i] || Math.abs(Number(word) - Number(line![i])) < 1e-3;
			assert.ok(same, `${word} in README.md, ${line![i]} now`);
		}
	}
}

test("the cells of README.md run", async () => {
	const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
	const sources = [...readme.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => match[1]!);
	assert.ok(sources.length >= 2);
	const cells = sources.map((source) => ({ cell_type: "code", source, metadata: {}, outputs: [] }));
	const it = await startTestServer();
	try {
		const notebook = checkNotebook({ nbformat: 4, nbformat_minor: 5, metadata: {}, cells });
		const result = await runNotebook(notebook, { server: it.server });
		assert.equal(result.failure?.traceback.join("\n"), undefined);
		for (const cell of result.notebook.cells) {
			const shown = cell.outputs?.at(-1);
			assert.ok(shown?.output_type === "execute_result" && shown.data["text/html"], cell.source);
		}
		checkTable(readme, result.notebook.cells[0]?.outputs?.at(-1));
	} finally {
		await it.close();
	}
});
