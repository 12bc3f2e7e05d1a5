// Hostile arguments of the native addon: whatever JavaScript passes, the call throws an Error with a code, and the process
// and the session live on. Runs in one process on purpose: a crash fails every test after it.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Addon } from "../native/addon.js";
import { addon, attention, codeOf, llama, newSession, request, spec, strange } from "./helpers/hostile-calls.js";

// Calls here break the contract's types.
// biome-ignore lint/suspicious/noExplicitAny: passing anything is the point of this file
type Loose = any;

const loose = addon as Loose;

test("strange values in place of every argument and every field", () => {
	const session = newSession();
	const model = addon.randomModel(llama, 1);
	let numRefused = 0;
	const mustLive = (call: () => unknown) => {
		if (codeOf(call)) numRefused++;
	};
	const withField = (object: object, field: string, value: unknown) => ({ ...object, [field]: value });
	for (const value of strange) {
		mustLive(() => loose.setNumThreads(value));
		mustLive(() => loose.openModel(value, []));
		mustLive(() => loose.openModel(llama, value));
		mustLive(() => loose.openModel(llama, [value]));
		mustLive(() => loose.randomModel(value, 1));
		mustLive(() => loose.randomModel(llama, value));
		mustLive(() => loose.pagedAttention(value));
		for (const field of Object.keys(attention))
			mustLive(() => loose.pagedAttention(withField(attention, field, value)));
		for (const field of Object.keys(llama)) mustLive(() => loose.openModel(withField(llama, field, value), []));
		mustLive(() => loose.openModel({ ...llama, ropeScaling: value }, []));
		const source = { name: "x", dtype: "F32", shape: [1], path: "/dev/null", offsetBytes: 0, sizeBytes: 4 };
		for (const field of Object.keys(source)) mustLive(() => loose.openModel(llama, [withField(source, field, value)]));
		mustLive(() => loose.openModel(llama, [{ ...source, shape: [value] }]));
		mustLive(() => (model as Loose).weight(value));
		mustLive(() => (model as Loose).createSession(value));
		for (const field of Object.keys(spec))
			mustLive(() => (model as Loose).createSession(withField(spec, field, value)));
		for (const field of ["name", "budget", "score", "candidates", "tailProtect", "seed"]) {
			const policy = withField({ name: "paged-eviction", budget: 16 }, field, value);
			mustLive(() => (model as Loose).createSession({ ...spec, policy }));
		}
		for (const method of ["prefill", "advance", "layerCache", "layerState"]) {
			mustLive(() => (session as Loose)[method](value));
		}
		for (const field of ["maxSteps", "forcedTokens", "sampling", "endTokens", "stop"]) {
			mustLive(() => (session as Loose).advance(withField({ ...request, maxSteps: 0 }, field, value)));
		}
		for (const field of ["temperature", "topK", "topP"]) {
			mustLive(() => (session as Loose).advance({ maxSteps: 0, sampling: withField(request.sampling, field, value) }));
		}
		for (const field of ["evict", "blockFull", "layer"]) {
			mustLive(() => (session as Loose).advance({ ...request, maxSteps: 0, stop: { [field]: value } }));
		}
	}
	assert.ok(numRefused > 1500, `${numRefused} refused`);
	addon.setNumThreads(2);
	assert.equal(newSession().numTokens, 3);
});

test("missing arguments, and messages that name the field, what was expected and what came", () => {
	const model = addon.randomModel(llama, 1) as Loose;
	const session = newSession() as Loose;
	for (const name of Object.keys(addon) as (keyof Addon)[]) {
		if (name !== "engineInfo")
			assert.equal(
				codeOf(() => loose[name]()),
				"ERR_OCTAVO_ARGUMENT",
				name,
			);
	}
	for (const call of [
		() => model.weight(),
		() => model.createSession(),
		() => session.prefill(),
		() => session.advance(),
		() => session.advanceAsync(),
		() => session.layerCache(),
	]) {
		assert.equal(codeOf(call), "ERR_OCTAVO_ARGUMENT");
	}
	assert.throws(() => model.createSession({ ...spec, blockSize: 257 }), {
		code: "ERR_OCTAVO_ARGUMENT",
		message: "Expected an integer from 1 to 256 for spec.blockSize but received 257",
	});
	assert.throws(() => model.createSession({ ...spec, blockSize: 16, policy: { name: "random", budget: 100 } }), {
		code: "ERR_OCTAVO_BUDGET",
		message: "Expected a multiple of blockSize (16) for budget but received 100",
	});
	assert.throws(() => session.advance({ ...request, stop: { layer: 2 } }), { code: "ERR_OCTAVO_ARGUMENT" });
	assert.throws(() => model.createSession({ ...spec, policy: { name: "pagedEviction", budget: 16 } }), {
		message:
			'Expected one of full, paged-eviction, streaming-llm, inverse-key-norm, key-diff, snap-kv, tova, h2o, custom, random for policy.name but received "pagedEviction"',
	});
});

test("methods on foreign receivers, and constructors called by hand", () => {
	const model = addon.randomModel(llama, 1);
	const session = newSession();
	const prototypes = [Object.getPrototypeOf(model), Object.getPrototypeOf(session)];
	const receivers = [
		undefined,
		null,
		1,
		"x",
		{},
		[],
		new Proxy(session, {}),
		Object.create(session),
		addon,
		model,
		session,
	];
	let numForeign = 0;
	for (const prototype of prototypes) {
		for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(prototype) as Loose) as [
			string,
			Loose,
		][]) {
			if (name === "constructor") continue;
			for (const receiver of receivers) {
				const own = receiver === (prototype === prototypes[0] ? model : session);
				if (own) continue;
				// V8 refuses most by itself, before our own check.
				const refused = { name: /Error/, message: /Illegal invocation|as receiver of its method/ };
				assert.throws(
					() => (property.value ?? property.get).call(receiver, 0),
					refused,
					`${name} on ${typeof receiver}`,
				);
				numForeign++;
			}
		}
	}
	assert.ok(numForeign > 150);
	for (const made of [model, session] as Loose[]) {
		assert.throws(() => new made.constructor(), TypeError);
		assert.throws(() => new made.constructor(made), TypeError);
		assert.throws(() => made.constructor(), TypeError);
		assert.throws(() => new (class extends made.constructor {})(), TypeError);
	}
	assert.equal(session.advance(request).numSteps, 1);
});

test("getters among the arguments that throw, dispose the session or set it to work", async () => {
	const thrown = new RangeError("mine");
	const session = newSession();
	const throwing = {
		...request,
		get maxSteps(): number {
			throw thrown;
		},
	};
	assert.throws(
		() => session.advance(throwing),
		(error) => error === thrown,
	);
	let running: Promise<unknown> | undefined;
	const working = {
		...request,
		get stop() {
			running ??= session.advanceAsync(request);
			return undefined;
		},
	};
	assert.equal(
		codeOf(() => session.advance(working as Loose)),
		"ERR_OCTAVO_BUSY",
	);
	await running;
	const disposing = {
		...request,
		get stop() {
			session.dispose();
			return undefined;
		},
	};
	assert.equal(
		codeOf(() => session.advance(disposing as Loose)),
		"ERR_OCTAVO_CLOSED",
	);
	const model = addon.randomModel(llama, 1);
	const closing = {
		...spec,
		get policy() {
			model.dispose();
			return { name: "full" as const };
		},
	};
	assert.equal(
		codeOf(() => model.createSession(closing)),
		"ERR_OCTAVO_CLOSED",
	);
	const list = new Proxy([1], {
		get: (target, key) => {
			if (key === "0") throw thrown;
			return Reflect.get(target, key);
		},
	});
	assert.throws(() => addon.openModel(llama, [list as Loose]), Error);
});
