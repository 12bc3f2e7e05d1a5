// The running kernels of a server and the sessions that tie a notebook's path to one. Everything started here ends with
// the server: by `close`, or at the process's exit without waiting.

import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HttpError } from "./errors.js";
import { findKernelSpec } from "./kernel-specs.js";
import { type KernelModel, ManagedKernel } from "./managed-kernel.js";

/** A session in the REST interface. */
export interface SessionModel {
	id: string;
	path: string;
	name: string;
	type: string;
	kernel: KernelModel;
	/** The older form of `path` and `name`, which some clients still read. */
	notebook: { path: string; name: string };
}

interface Session {
	id: string;
	path: string;
	name: string;
	type: string;
	kernelId: string;
}

/** How kernels are started. */
export interface KernelStoreOptions {
	env: Record<string, string>;
	log: (text: string) => void;
}

/** Kernels and sessions by id. */
export class KernelStore {
	readonly #options: KernelStoreOptions;
	readonly #kernels = new Map<string, ManagedKernel>();
	readonly #sessions = new Map<string, Session>();
	readonly #runtimeFolder = mkdtempSync(join(tmpdir(), "octavo-kernels-"));
	readonly #atExit = () => this.#destroySync();

	constructor(options: KernelStoreOptions) {
		this.#options = options;
		process.on("exit", this.#atExit);
	}

	/** The kernels that are there. */
	get models(): KernelModel[] {
		return [...this.#kernels.values()].map((kernel) => kernel.model);
	}

	/** The sessions whose kernel is there. */
	get sessions(): SessionModel[] {
		return [...this.#sessions.values()].flatMap((one) => (this.#kernels.has(one.kernelId) ? [this.#model(one)] : []));
	}

	/**
	 * Finds a kernel.
	 *
	 * @throws {HttpError} 404 when there is none
	 */
	get(id: string): ManagedKernel {
		const kernel = this.#kernels.get(id);
		if (!kernel) throw new HttpError(404, "ERR_OCTAVO_KERNEL_ID", `No such kernel: ${JSON.stringify(id)}`);
		return kernel;
	}

	/**
	 * Starts a kernel in a working folder.
	 *
	 * @throws {OctavoError} ERR_OCTAVO_KERNEL_NAME, ERR_OCTAVO_KERNEL_START
	 */
	async start(name: string, cwd: string): Promise<ManagedKernel> {
		const id = randomUUID();
		const { env, log } = this.#options;
		const kernel = new ManagedKernel({
			id,
			kernelSpec: findKernelSpec(name),
			cwd,
			runtimeFolder: this.#runtimeFolder,
			env,
			log,
		});
		this.#kernels.set(id, kernel);
		try {
			await kernel.start();
		} catch (error) {
			this.#kernels.delete(id);
			throw error;
		}
		return kernel;
	}

	/** Ends a kernel and its sessions. */
	async shutdown(id: string): Promise<void> {
		const kernel = this.get(id);
		this.#kernels.delete(id);
		for (const session of this.#sessions.values()) if (session.kernelId === id) this.#sessions.delete(session.id);
		await kernel.shutdown();
	}

	/** Finds the session of a path. */
	sessionOfPath(path: string): SessionModel | undefined {
		return this.sessions.find((session) => session.path === path);
	}

	/** Ties a path to a kernel. */
	addSession(session: { path: string; name: string; type: string; kernelId: string }): SessionModel {
		this.get(session.kernelId);
		const added = { id: randomUUID(), ...session };
		this.#sessions.set(added.id, added);
		return this.#model(added);
	}

	/**
	 * Finds a session.
	 *
	 * @throws {HttpError} 404 when there is none
	 */
	session(id: string): SessionModel {
		const found = this.#sessions.get(id);
		if (!found) throw new HttpError(404, "ERR_OCTAVO_SESSION_ID", `No such session: ${JSON.stringify(id)}`);
		return this.#model(found);
	}

	/** Changes a session's path, name, type or kernel. */
	changeSession(id: string, change: { path?: string; name?: string; type?: string; kernelId?: string }): SessionModel {
		const { path, name, type, kernel } = this.session(id);
		if (change.kernelId !== undefined) this.get(change.kernelId);
		this.#sessions.set(id, { id, path, name, type, kernelId: kernel.id, ...change });
		return this.session(id);
	}

	/** Ends everything and removes the connection files. */
	async close(): Promise<void> {
		await Promise.allSettled([...this.#kernels.keys()].map((id) => this.shutdown(id)));
		process.off("exit", this.#atExit);
		rmSync(this.#runtimeFolder, { recursive: true, force: true });
	}

	#model({ id, path, name, type, kernelId }: Session): SessionModel {
		return { id, path, name, type, kernel: this.get(kernelId).model, notebook: { path, name } };
	}

	#destroySync(): void {
		for (const kernel of this.#kernels.values()) kernel.destroySync();
		rmSync(this.#runtimeFolder, { recursive: true, force: true });
	}
}
