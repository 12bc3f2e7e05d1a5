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
/** What each further cell may add in the worker, in bytes: far less than either. */
const maxBytesPerCell = 4096;
/** Cells after which the front process's history is full: it holds eight million characters. */
const historyCells = 2000;
/**
 * Growth of the front process in bytes: from its first cell to a full history, with what V8 has not yet collected (46 MiB
 * were measured); and from there to the end, however many cells that are (3 MiB).
 */
const maxFrontBytes = { history: 54 * 2 ** 20, further: 12 * 2 ** 20 };

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

/** Resident memory of the front process in bytes; undefined where the system does not tell. */
function frontBytes(): number | undefined {
	const path = `/proc/${kernel.process.pid}/status`;
	return existsSync(path) ? 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(path, "utf8"))![1]) : undefined;
}

const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1);

test(`memory stays flat over ${numCells} cells`, async (context) => {
	let warmHeap = 0;
	const front: number[] = [];
	for (let i = 0; i <= numCells; i++) {
		if (i === warmCells) warmHeap = await heapBytes();
		if (i % 500 === 0 || i === numCells) {
			const resident = frontBytes();
			if (resident !== undefined) front.push(resident);
			const told = resident === undefined ? "" : `, front process ${mib(resident)} MiB`;
			context.diagnostic(`after ${i} cells: worker's heap ${mib(await heapBytes())} MiB${told}`);
		}
		const { reply } = await kernel.execute(`${comment}\n${bodies[i % bodies.length]!(i)}`, { stop_on_error: false });
		assert.equal(reply.ename ?? "none", i % bodies.length === 4 ? "RangeError" : "none", reply.evalue);
		kernel.messages.length = 0;
	}
	const grown = (await heapBytes()) - warmHeap;
	const bound = maxBytesPerCell * (numCells - warmCells);
	assert.ok(grown < bound, `the worker's heap grew by ${mib(grown)} MiB, beyond ${mib(bound)}`);
	const last = front.at(-1);
	if (last === undefined) return;
	assert.ok(last - front[0]! < maxFrontBytes.history, `the front process grew by ${mib(last - front[0]!)} MiB`);
	// From its largest size so far, since V8 may just have collected.
	const further = last - Math.max(...front.slice(0, historyCells / 500 + 1));
	assert.ok(further < maxFrontBytes.further, `the front process went on growing, by ${mib(further)} MiB`);
});
