// The flags and the environment that the worker starts with. glibc keeps a heap for each thread, and what one has freed
// another cannot use: of a worker's threads all but the first share one, which saves 11 MiB. Cells, and what they start,
// do not see the variable.

/**
 * The worker's flags of Node.js: without the first Node 20 aborts when the inspector terminates a callback, the second
 * silences require(esm). The others are in MiB. A space for new objects that has to grow again after an idle time makes the
 * next large output half as slow again, and one of V8's own size is full after every twentieth cell, which then waits for
 * ten milliseconds; what of it is not used takes no memory. A heap below the last is not marked, which would slow the first
 * cells, and those after an idle time, in which idle-memory.ts has it collected.
 */
export const workerFlags = [
	"--no-force-async-hooks-checks",
	"--disable-warning=ExperimentalWarning",
	"--min-semi-space-size=24",
	"--max-semi-space-size=32",
	"--initial-old-space-size=160",
];

const variable = "MALLOC_ARENA_MAX";
/** Set beside it, so that one which the user has set is left alone. */
const mark = "OCTAVO_FEW_ARENAS";

/**
 * What the kernelspec adds to the environment of the front process: one heap for all of its threads. A large message that
 * ZeroMQ's thread receives needs fresh memory otherwise, which takes as long to become resident as the bytes take to come.
 */
export const frontEnv = { [variable]: "1", [mark]: "1" };

/** Gives the environment to start a worker with. */
export function workerEnv(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
	return env[variable] === undefined || env[mark] !== undefined ? { ...env, [variable]: "2", [mark]: "1" } : env;
}

/** Takes out of the worker's own environment what {@link workerEnv} has added: glibc has read it by now. */
export function restoreEnv(env: NodeJS.ProcessEnv = process.env): void {
	if (env[mark] !== undefined) delete env[variable];
	delete env[mark];
}
