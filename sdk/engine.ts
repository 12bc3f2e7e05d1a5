// What the native engine runs on, and how many threads it takes.

import { availableParallelism } from "node:os";
import type { EngineInfo } from "../native/addon.js";
import { loadAddon } from "../native/load.js";
import { native } from "./errors.js";

/**
 * Hardware and libraries the engine found.
 *
 * @throws {OctavoError} ERR_OCTAVO_NATIVE when the engine has not been built
 */
export function engineInfo(): EngineInfo {
	return native(() => loadAddon().engineInfo());
}

/**
 * Sets the threads of all ops in this process. At first: one for each usable core.
 *
 * @param numThreads from 1 to 256
 * @throws {OctavoError} ERR_OCTAVO_ARGUMENT for another number, ERR_OCTAVO_BUSY while a session is at work
 */
export function setNumThreads(numThreads: number): void {
	native(() => loadAddon().setNumThreads(numThreads));
}

/** The engine in a few words, for captions. */
export function describeEngine(): string {
	const { simd, gemm, numThreads } = engineInfo();
	return `CPU, ${simd}, ${gemm}, ${numThreads} of ${availableParallelism()} threads`;
}
