// The file of the worker's start-up snapshot, on the front process's side: of Node.js's own kind, for one Node.js and one
// installation only, and made again where it does not fit; OCTAVO_SNAPSHOT=0 does without.

import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir, hostname, setPriority } from "node:os";
import { join } from "node:path";
import { nodeTypesPath, packageRoot, snapshotSourcePath, typescriptPath } from "./packages.js";
import type { SnapshotParts } from "./protocol.js";

const entry = join(packageRoot, "kernel", "cell", "snapshot-entry.cjs");
/** Snapshots kept, of other installations or versions too. */
const maxSnapshots = 4;
/** Age after which the lock of a process that makes a snapshot is no longer believed, in milliseconds. */
const lockMs = 120_000;

/** Where snapshots lie: the user's cache folder, by the system's rules. */
function cacheFolder(env: NodeJS.ProcessEnv = process.env, platform = process.platform): string {
	const home = env.HOME || homedir();
	if (env.XDG_CACHE_HOME) return join(env.XDG_CACHE_HOME, "octavo");
	if (platform === "darwin") return join(home, "Library", "Caches", "octavo");
	if (platform === "win32") return join(env.LOCALAPPDATA || join(home, "AppData", "Local"), "octavo");
	return join(home, ".cache", "octavo");
}

/** The snapshot of one installation: whether there is one, and how to make it. */
export class SnapshotFile {
	readonly #buildFlags: readonly string[];
	readonly #folder = cacheFolder();
	readonly #file: string;
	#refused = process.env.OCTAVO_SNAPSHOT === "0";
	#builder: ChildProcess | undefined;

	/** @param flags the worker's flags of Node.js: a snapshot fits those it was made with */
	constructor(flags: readonly string[]) {
		// Made with this one, and started with it again, a process would count it twice, and check after all.
		this.#buildFlags = flags.filter((flag) => flag !== "--no-force-async-hooks-checks");
		const stamps = [process.execPath, typescriptPath, snapshotSourcePath, nodeTypesPath, entry].map((path) => {
			const { size, mtimeMs } = statSync(path);
			return [path, size, mtimeMs];
		});
		const { version } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8")) as { version: string };
		const key = JSON.stringify([
			version,
			process.version,
			process.arch,
			process.platform,
			flags,
			this.#buildFlags,
			stamps,
		]);
		this.#file = join(this.#folder, `worker-${createHash("sha256").update(key).digest("hex").slice(0, 24)}.blob`);
	}

	/** Flags with which a process starts from the snapshot; none where there is none. */
	get startFlags(): string[] {
		return !this.#refused && existsSync(this.#file) ? ["--snapshot-blob", this.#file] : [];
	}

	/** Does away with a snapshot from which no worker starts. */
	refuse(): void {
		this.#refused = true;
		remove([this.#file]);
	}

	/** Makes the snapshot, unless it is there or another process makes it; settles when that is over, and never rejects. */
	async make(parts: SnapshotParts): Promise<void> {
		if (this.#refused || this.#builder || existsSync(this.#file)) return;
		const lock = `${this.#file}.lock`;
		const input = `${this.#file}.${process.pid}.json`;
		const made = `${this.#file}.${process.pid}.part`;
		let isLocked = false;
		// Made by another process now, no folder to write to, a full disk: workers start without.
		try {
			mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
			if (existsSync(lock) && isLeft(lock)) rmSync(lock, { force: true });
			writeFileSync(lock, lockText(process.pid), { flag: "wx" });
			isLocked = true;
			writeFileSync(input, JSON.stringify({ typescript: typescriptPath, source: snapshotSourcePath, ...parts }));
			if (!(await this.#build(input, made))) return;
			renameSync(made, this.#file);
			this.#removeOld();
		} catch {
			// Nothing is lost.
		} finally {
			if (isLocked) remove([lock, input, made]);
		}
	}

	/** Stops making it. */
	close(): void {
		this.#builder?.kill("SIGKILL");
	}

	#build(input: string, made: string): Promise<boolean> {
		const args = [...this.#buildFlags, "--snapshot-blob", made, "--build-snapshot", entry, input];
		const builder = spawn(process.execPath, args, { stdio: "ignore" });
		this.#builder = builder;
		return new Promise((resolve) => {
			builder.once("error", () => resolve(false));
			builder.once("exit", (code) => resolve(code === 0));
			builder.once("spawn", () => {
				try {
					setPriority(builder.pid!, 10);
				} catch {
					// It is over already, or may not.
				}
			});
		});
	}

	#removeOld(): void {
		const files = readdirSync(this.#folder)
			.filter((name) => /^worker-\w+\.blob/.test(name))
			.map((name) => join(this.#folder, name))
			.map((path) => ({ path, time: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
			.sort((one, other) => other.time - one.time);
		const snapshots = files.filter(({ path }) => path.endsWith(".blob"));
		// What a kernel leaves that was killed while it made one.
		const remains = files.filter(({ path, time }) => !path.endsWith(".blob") && Date.now() - time > lockMs);
		remove([...snapshots.slice(maxSnapshots), ...remains].map(({ path }) => path));
	}
}

/** What a lock says: several machines may share a home folder. */
function lockText(pid: number): string {
	return `${hostname()} ${pid}`;
}

/** Whether a lock was left by a process that is gone, or is too old to be believed. */
function isLeft(lock: string): boolean {
	if (Date.now() - statSync(lock).mtimeMs > lockMs) return true;
	const text = readFileSync(lock, "utf8");
	const pid = Number(text.split(" ")[1]);
	if (!(pid > 0) || text !== lockText(pid)) return false;
	try {
		process.kill(pid, 0);
		return false;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "ESRCH";
	}
}

/** Removes files, those that may be; never throws. */
function remove(paths: readonly string[]): void {
	for (const path of paths) {
		try {
			rmSync(path, { force: true });
		} catch {
			// The folder may not be written to: it stays.
		}
	}
}
