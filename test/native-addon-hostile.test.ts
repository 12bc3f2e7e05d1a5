// Hostile calls of the native addon: whatever JavaScript passes, the call throws an Error with a code, and the process
// and the session live on. Runs in one process on purpose: a crash fails every test after it.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Addon, LlamaSpec, NativeSession } from "../native/addon.js";
import { loadAddon } from "../native/load.js";

// Calls here break the contract's types.
// biome-ignore lint/suspicious/noExplicitAny: passing anything is the point of this file
type Loose = any;

const addon = loadAddon();
const loose = addon as Loose;

const llama: LlamaSpec = {
	numLayers: 2,
	hiddenSize: 16,
	intermediateSize: 24,
	numQueryHeads: 4,
	numKvHeads: 2,
	headDim: 4,
	vocabSize: 40,
	maxPositions: 512,
	rmsNormEps: 1e-5,
	ropeTheta: 10000,
	tieWordEmbeddings: true,
};
const spec = { blockSize: 4, numBlocks: 32, policy: { name: "full" as const }, seed: 1, recordBlocks: true };
const request = { maxSteps: 1, sampling: { temperature: 0, topK: 0, topP: 1 } };
const attention = {
	numQueryHeads: 2,
	numKvHeads: 1,
	headDim: 2,
	blockSize: 2,
	query: new Float32Array(4),
	keyCache: new Float32Array(8),
	valueCache: new Float32Array(8).fill(1),
	blockTable: Int32Array.of(1, 0),
	kvLen: 3,
	scale: 1,
};

const strange: unknown[] = [
	undefined,
	null,
	true,
	0,
	-1,
	0.5,
	Number.NaN,
	Number.POSITIVE_INFINITY,
	2 ** 31,
	2 ** 53,
	-(2 ** 53),
	1e308,
	"",
	"16",
	"x".repeat(100_000),
	Symbol("s"),
	10n ** 30n,
	() => 1,
	class {},
	[],
	[1, 2],
	{},
	{ valueOf: () => 4 },
	Object.create(null),
	new Proxy({}, {}),
	new Date(),
	/x/,
	new Map(),
	new ArrayBuffer(8),
	new SharedArrayBuffer(8),
	new DataView(new ArrayBuffer(8)),
	new Uint8Array(3),
	new Float32Array(3),
	new Int32Array(0),
	new BigInt64Array(2),
	Promise.resolve(),
];

/** Must throw an Error with one of our codes; gives the code. */
function codeOf(call: () => unknown): string {
	try {
		call();
	} catch (error) {
		const { code, message } = error as NodeJS.ErrnoException;
		assert.ok(error instanceof Error, String(error));
		assert.match(String(code), /^ERR_OCTAVO_[A-Z_]+$/, message);
		assert.doesNotMatch(code!, /INTERNAL/, message);
		assert.ok(message.length > 0 && message.length < 400, message);
		return code!;
	}
	return "";
}

function newSession(): NativeSession {
	const session = addon.randomModel(llama, 1).createSession(spec);
	session.prefill(Int32Array.of(1, 2, 3));
	session.advance(request);
	return session;
}

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

test("sizes whose product overflows or exceeds all memory", () => {
	const huge = 2 ** 24;
	const sizes = { numLayers: 4096, hiddenSize: 2 ** 20, intermediateSize: 2 ** 22, vocabSize: huge };
	assert.equal(
		codeOf(() => addon.randomModel({ ...llama, ...sizes }, 1)),
		"ERR_OCTAVO_MEMORY",
	);
	assert.match(
		codeOf(() => addon.randomModel({ ...llama, numQueryHeads: huge, numKvHeads: huge, headDim: huge }, 1)),
		/MODEL_CONFIG|MEMORY/,
	);
	const model = addon.randomModel(llama, 1);
	assert.equal(
		codeOf(() => model.createSession({ ...spec, numBlocks: 2 ** 31 - 1 })),
		"ERR_OCTAVO_ARGUMENT",
	);
	assert.equal(
		codeOf(() => model.createSession({ ...spec, blockSize: 256, numBlocks: 2 ** 20 })),
		"ERR_OCTAVO_ARGUMENT",
	);
	const most = 2 ** 31 - 1;
	for (const field of ["numQueryHeads", "headDim", "blockSize", "kvLen"]) {
		assert.equal(
			codeOf(() => addon.pagedAttention({ ...attention, [field]: most })),
			"ERR_OCTAVO_ARGUMENT",
			field,
		);
	}
	assert.equal(
		codeOf(() =>
			addon.pagedAttention({ ...attention, numQueryHeads: most, numKvHeads: most, headDim: most, blockSize: most }),
		),
		"ERR_OCTAVO_ARGUMENT",
	);
	assert.equal(
		codeOf(() => addon.pagedAttention({ ...attention, kvLen: Number.MAX_SAFE_INTEGER })),
		"ERR_OCTAVO_ARGUMENT",
	);
});

test("block ids out of range, short tables and detached buffers are never read", () => {
	const good = addon.pagedAttention(attention);
	assert.deepEqual(good, new Float32Array(4).fill(1));
	for (const ids of [[2, 0], [1, -1], [2 ** 30, 0], [1]]) {
		assert.equal(
			codeOf(() => addon.pagedAttention({ ...attention, blockTable: Int32Array.from(ids) })),
			"ERR_OCTAVO_ARGUMENT",
		);
	}
	for (const field of ["query", "keyCache", "valueCache", "blockTable"] as const) {
		const array = attention[field].slice();
		structuredClone(array.buffer, { transfer: [array.buffer] });
		assert.equal(
			codeOf(() => addon.pagedAttention({ ...attention, [field]: array })),
			"ERR_OCTAVO_ARGUMENT",
			field,
		);
	}
	// A getter that detaches what was read before it.
	const victim = attention.query.slice();
	const trap = Object.defineProperty({ ...attention, query: victim }, "valueCache", {
		get() {
			structuredClone(victim.buffer, { transfer: [victim.buffer] });
			return attention.valueCache;
		},
	});
	assert.equal(
		codeOf(() => addon.pagedAttention(trap)),
		"ERR_OCTAVO_ARGUMENT",
	);
	const detached = new Int32Array(4);
	structuredClone(detached.buffer, { transfer: [detached.buffer] });
	const fresh = addon.randomModel(llama, 1).createSession(spec);
	assert.equal(
		codeOf(() => fresh.prefill(detached)),
		"ERR_OCTAVO_TOKEN",
	);
	fresh.prefill(new Int32Array(new SharedArrayBuffer(16)));
	assert.equal(fresh.advance(request).numSteps, 1);
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

test("the memory of views can be written, transferred and dropped", () => {
	const session = newSession();
	for (const view of [session.layerCache(0).keys, session.layerCache(0).positions, session.logits()]) {
		new Uint8Array(view.buffer).fill(0xff);
	}
	assert.equal(
		codeOf(() => session.advance({ ...request, maxSteps: 2 })),
		"ERR_OCTAVO_NAN",
	);
	const model = addon.randomModel(llama, 1);
	const { buffer } = model.weight("model.norm.weight");
	new Float32Array(buffer)[0] = Number.NaN;
	const poisoned = model.createSession(spec);
	poisoned.prefill(Int32Array.of(1));
	assert.equal(
		codeOf(() => poisoned.advance(request)),
		"ERR_OCTAVO_NAN",
	);
	const { positions } = session.layerCache(1);
	try {
		structuredClone(positions.buffer, { transfer: [positions.buffer] });
	} catch (error) {
		assert.equal((error as Error).name, "DataCloneError");
	}
	assert.equal(new Int32Array(session.layerCache(1).positions.buffer)[0], 0);
});
