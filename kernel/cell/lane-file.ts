// The file of a lane, as one of the two processes that hold it open sees it. Where octavo_lane.node is there, large pieces
// are copied through mapped memory: half the time of a system call's copy. What has not been written yet goes by system
// calls even so, which take half the time of a first touch.

import { closeSync, existsSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LaneMap, loadLaneAddon } from "../../native/lane.js";

/** Bytes of a file that is mapped; none of them takes memory until it is written. What lies beyond goes by system calls. */
const mappedBytes = 1024 * 1024 * 1024;
/** Bytes from which on a piece is large. */
const largeBytes = 256 * 1024;

/**
 * Opens a new file of zeros; both processes use the descriptor, which the child inherits.
 *
 * @param sizeBytes what may be read before it has been written
 */
export function openFile(sizeBytes: number): number {
	const inMemory = loadLaneAddon()?.open(mappedBytes);
	if (inMemory !== undefined) return inMemory;
	const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "octavo-"));
	try {
		const descriptor = openSync(join(folder, "lane"), "wx+", 0o600);
		ftruncateSync(descriptor, sizeBytes);
		return descriptor;
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

let keeps = false;

/** Has freed memory kept from now on: buffers as large as those that come now are likely to follow. */
function keepFreed(): void {
	if (!keeps) loadLaneAddon()?.keepFreed(true);
	keeps = true;
}

/** Gives memory that buffers have left back to the system, once nothing large has passed for a while. */
export function giveBackFreed(): void {
	if (!keeps) return;
	keeps = false;
	loadLaneAddon()?.keepFreed(false);
	loadLaneAddon()?.trim();
}

/** Reads and writes one lane's file. */
export class LaneFile {
	readonly #descriptor: number;
	/** False where it cannot be mapped. */
	#map: LaneMap | false | undefined;
	/** Up to here it has been written by this process, and not been freed since. */
	#writtenTo = 0;

	constructor(descriptor: number) {
		this.#descriptor = descriptor;
	}

	/** Writes all of the bytes. @throws what the system says where there is no room, or no file any more */
	write(bytes: Uint8Array, position: number): void {
		const end = position + bytes.length;
		const isThere = bytes.length >= largeBytes && end <= this.#writtenTo;
		const map = isThere && this.#mapped();
		if (map && loadLaneAddon()!.put(map, position, bytes)) return;
		for (let done = 0; done < bytes.length; ) {
			done += writeSync(this.#descriptor, bytes, done, bytes.length - done, position + done);
		}
		this.#writtenTo = Math.max(this.#writtenTo, end);
	}

	/** Fills the array. @throws an Error where the file ends before */
	read(into: Uint8Array, position: number): void {
		const map = into.length >= largeBytes && this.#mapped();
		if (map && loadLaneAddon()!.get(map, position, into)) return;
		for (let done = 0; done < into.length; ) {
			const count = readSync(this.#descriptor, into, done, into.length - done, position + done);
			if (count === 0) throw new Error(`Expected ${into.length} bytes at ${position} of a lane but it ends before`);
			done += count;
		}
	}

	/** Gives the memory from a position on back to the system; nothing there may be needed any more. */
	free(from: number): void {
		if (this.#mapped()) loadLaneAddon()!.freePages(this.#descriptor, from);
		else ftruncateSync(this.#descriptor, from);
		this.#writtenTo = Math.min(this.#writtenTo, from);
	}

	/** Closes the descriptor; the memory goes once the other process has too. */
	close(): void {
		if (this.#map) loadLaneAddon()!.unmap(this.#map);
		this.#map = false;
		closeSync(this.#descriptor);
	}

	#mapped(): LaneMap | false {
		if (this.#map === undefined) {
			try {
				this.#map = loadLaneAddon()?.map(this.#descriptor) ?? false;
			} catch {
				// A plain file, since its maker did not have the module; or no room for a mapping.
				this.#map = false;
			}
		}
		return this.#map;
	}
}

/** Memory for bytes of a lane, of its own and not zeroed. @param length in bytes */
export function memoryFor(length: number): Buffer {
	if (length >= largeBytes) keepFreed();
	// Not a slice of Node's pool: whoever gets it may hand its ArrayBuffer on.
	return Buffer.allocUnsafeSlow(length);
}
