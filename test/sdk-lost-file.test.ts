// A model's file that another program cuts short or writes over while it is in use: an error that names the file, in the
// middle of a step as before one, and a process that lives on.

import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadModel } from "../sdk/load-model.js";
import { presetFolder } from "../sdk/model/checkpoint.js";
import { temporaryFolder } from "./helpers/temporary-folder.js";

const prompt = Array.from({ length: 60 }, (_, i) => 2 + ((i * 7) % 40));
const lost = { name: "OctavoError", code: "ERR_OCTAVO_MODEL_FILE", message: /model\.safetensors/ };

function copyOfDefault(folder: string): { folder: string; file: string } {
	cpSync(presetFolder("recall-tiny"), folder, { recursive: true });
	return { folder, file: join(folder, "model.safetensors") };
}

test("a file cut short in the middle of a step fails the step, and loses nothing", async (t) => {
	const { folder, file } = copyOfDefault(await temporaryFolder(t));
	const whole = readFileSync(file);
	const model = await loadModel(folder);
	const session = model.session({ history: 10 });
	await session.prefill(prompt);
	await session.run({ maxTokens: 4, endTokens: [] });
	const before = { tokens: [...session.tokens], logits: [...session.logits.data], numRows: numSteps() };

	session.breakOn("layer", (event) => event.layer === 0);
	assert.equal((await session.run({ maxTokens: 1, endTokens: [] })).reason, "breakpoint");
	truncateSync(file, 4096);
	await assert.rejects(session.run({ maxTokens: 1, endTokens: [] }), lost);
	const after = { tokens: [...session.tokens], logits: [...session.logits.data], numRows: numSteps() };
	assert.deepEqual(after, before);

	writeFileSync(file, whole);
	await assert.rejects(session.run({ maxTokens: 1, endTokens: [] }), lost);
	assert.throws(() => model.session().prefillSync(prompt), lost);
	session.rewind({ tokens: prompt.length + 2 });
	assert.equal(session.tokens.length, prompt.length + 2);

	using other = await loadModel();
	using again = await loadModel(folder);
	const tokens = [other, again].map((loaded) => {
		const run = loaded.session();
		run.prefillSync(prompt);
		run.runSync({ maxTokens: 4, endTokens: [] });
		return [...run.tokens];
	});
	assert.deepEqual(tokens, [before.tokens, before.tokens]);

	function numSteps(): number {
		return session.trace.table("steps").numRows;
	}
});

test("a file written over in the middle of a step, at the same size, fails the step, and loses nothing", async (t) => {
	const { folder, file } = copyOfDefault(await temporaryFolder(t));
	utimesSync(file, 1000, 1000); // so that the write below does not fall on the same tick of the system's clock
	const weights = readFileSync(file);
	const model = await loadModel(folder);
	const session = model.session();
	session.prefillSync(prompt);
	session.runSync({ maxTokens: 4, endTokens: [] });
	const before = [...session.tokens];

	session.breakOn("layer", (event) => event.layer === 0);
	assert.equal(session.runSync({ maxTokens: 1, endTokens: [] }).reason, "breakpoint");
	weights[weights.length - 1]! ^= 1;
	writeFileSync(file, weights, { flag: "r+" });
	assert.throws(() => session.runSync({ maxTokens: 1, endTokens: [] }), lost);
	assert.deepEqual([...session.tokens], before);
	assert.throws(() => model.session().prefillSync(prompt), lost);

	using again = await loadModel(folder);
	const run = again.session();
	run.prefillSync(prompt);
	writeFileSync(join(folder, "config.json"), "not a weight");
	run.runSync({ maxTokens: 4, endTokens: [] });
});

test("views of weights that are gone show zeros, and no checkpoint is written of them", async (t) => {
	const { folder, file } = copyOfDefault(await temporaryFolder(t));
	const model = await loadModel(folder);
	const weight = model.weight("model.norm.weight");
	truncateSync(file, 0);
	assert.ok(weight.data.every((number) => number === 0));
	const target = await temporaryFolder(t);
	writeFileSync(join(target, "model.safetensors"), "what was there");
	await assert.rejects(model.save(target), lost);
	assert.equal(readFileSync(join(target, "model.safetensors"), "utf8"), "what was there");
	assert.ok(!existsSync(join(target, "config.json")));
});

test("a model can be closed while it is being saved", async (t) => {
	const folder = await temporaryFolder(t);
	const model = await loadModel();
	const saved = model.save(folder);
	model.close();
	const again = await loadModel(await saved);
	assert.equal(again.numParameters, (await loadModel()).numParameters);
});
