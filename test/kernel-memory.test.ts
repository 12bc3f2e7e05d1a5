// Memory over many cells. Of each cell its text and its result could be left behind: both are made big here, so that
// keeping either of every cell shows. The first argument says how many cells; npm run test:memory runs 10,000.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { KernelClient } from "./helpers/kernel-client.js";

const numCells = Number(process.argv[2] ?? 1500);
/** Cells after which caches are full, compiled code is there, and bounded stores hold what they may. */
const warmCells = 500;
/** Of each cell: its text, and what it leaves in the worker, in bytes. */
const textBytes = 8192;
const resultBytes = 20_000;
/** What each further cell may add, in bytes: far less than either. */
const maxBytesPerCell = 4096;

let kernel: KernelClient;

before(async () => {
	kernel = await KernelClient.start();
	await kernel.execute(
		"import v8 from 'node:v8'; import vm from 'node:vm'; v8.setFlagsFromString('--expose-gc');" +
			"const collect = vm.runInNewContext('gc'); const sleep = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));",
	);
});

after(() => kernel.stop());

const comment = `// ${"x".repeat(textBytes)}`;
const numbers = `Array.from({ length: ${resultBytes / 8} }, (_, n) => n + 0.5 + `;

/** What cells do, by turns. */
const bodies = [
	(i: number) => `const value: number[] = ${numbers}${i}); value`,
	(i: number) => `interface Point { x: number; tag: "${i}" }\nconst point: Point = { x: ${i}, tag: "${i}" }; point`,
	(i: number) => `console.log("line ${i}"); function twice(n: number) { return 2 * n + ${i}; } twice(${i})`,
	(i: number) => `await sleep(0); const later = ${numbers}${i}); later`,
	(i: number) => `class Box { n = ${numbers}${i}); } throw new RangeError(String(new Box().n.length));`,
	(i: number) => `import { inspect } from "node:util"; display({ at: ${i}, ${"list"}: ${numbers}0) }); inspect(${i})`,
	(i: number) =>
		`import { loadModel } from "octavo"; const got${i % 10} = { ${"n"}: ${numbers}${i}) }; typeof loadModel`,
];

async function heapBytes(): Promise<number> {
	const { iopub } = await kernel.execute(
		"await sleep(20); collect(); await sleep(5); collect(); process.memoryUsage().heapUsed",
	);
	return Number(iopub.find(({ type }) => type === "execute_result")!.content.data["text/plain"]);
}

/** Resident memory of the front process; undefined where the system does not tell. */
function frontBytes(): number | undefined {
	const path = `/proc/${kernel.process.pid}/status`;
	return existsSync(path) ? 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(path, "utf8"))![1]) : undefined;
}

const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1);

test(`memory stays flat over ${numCells} cells`, async (context) => {
	let warm = { heap: 0, front: 0 };
	for (let i = 0; i <= numCells; i++) {
		if (i === warmCells) warm = { heap: await heapBytes(), front: frontBytes() ?? 0 };
		if (i % 500 === 0 || i === numCells) {
			const front = frontBytes();
			context.diagnostic(
				`after ${i} cells: worker's heap ${mib(await heapBytes())} MiB${front === undefined ? "" : `, front process ${mib(front)} MiB`}`,
			);
		}
		const { reply } = await kernel.execute(`${comment}\n${bodies[i % bodies.length]!(i)}`, { stop_on_error: false });
		assert.equal(reply.ename ?? "none", i % bodies.length === 4 ? "RangeError" : "none", reply.evalue);
		kernel.messages.length = 0;
	}
	const grown = (await heapBytes()) - warm.heap;
	const bound = maxBytesPerCell * (numCells - warmCells);
	assert.ok(grown < bound, `the worker's heap grew by ${mib(grown)} MiB, beyond ${mib(bound)}`);
	const front = frontBytes();
	if (front === undefined) return;
	// Resident memory also tells of what V8 has not yet collected.
	const frontBound = Math.max(bound, 48 * 2 ** 20);
	assert.ok(front - warm.front < frontBound, `the front process grew by ${mib(front - warm.front)} MiB`);
});
