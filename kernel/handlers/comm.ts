// Comms between cells and the front end. Which are open is known here too, so that comm_info is answered while a cell
// loops; what comes over them goes to the worker.

import type { CommMessage, CommResult, WorkerEvent } from "../cell/protocol.js";
import { WorkerDied } from "../cell/worker-died.js";
import type { WorkerProcess } from "../cell/worker-process.js";
import type { Outlet } from "../protocol/outlet.js";
import type { Handler } from "../protocol/router.js";
import type { Message } from "../wire/frames.js";

/** The comms of a kernel. */
export class Comms {
	readonly #worker: WorkerProcess;
	readonly #outlet: Outlet;
	readonly #targets = new Map<string, string>();
	readonly #requests = new Map<number, Message>();

	constructor(worker: WorkerProcess, outlet: Outlet) {
		this.#worker = worker;
		this.#outlet = outlet;
	}

	/** The comm request with this number in the worker, while it is handled. */
	request(id: number): Message | undefined {
		return this.#requests.get(id);
	}

	/** Publishes what a cell says over a comm. */
	publish(event: Extract<WorkerEvent, { type: "comm" }>, parent: Message | undefined): void {
		const { kind, commId, target, data, metadata, range } = event;
		if (kind === "open") this.#targets.set(commId, target!);
		if (kind === "close") this.#targets.delete(commId);
		const content = { comm_id: commId, ...(kind === "open" ? { target_name: target } : {}), data };
		const buffers = range ? this.#worker.lanes.read(range) : [];
		this.#outlet.publish(`comm_${kind}`, content, parent, metadata, buffers);
	}

	/** Closes all, on the front end's side: the worker that knew them is gone. */
	readonly closeAll = (parent: Message | undefined): void => {
		for (const comm_id of this.#targets.keys()) this.#outlet.publish("comm_close", { comm_id, data: {} }, parent);
		this.#targets.clear();
	};

	/** The handlers of comm messages. */
	handlers(): [string, Handler][] {
		return [
			["comm_info_request", ({ content }) => ({ content: { status: "ok", comms: this.#info(content.target_name) } })],
			["comm_open", (request) => this.#pass("open", request)],
			["comm_msg", (request) => this.#pass("msg", request)],
			["comm_close", (request) => this.#pass("close", request)],
		];
	}

	#info(target: unknown): Record<string, { target_name: string }> {
		const wanted = typeof target === "string" && target !== "" ? target : undefined;
		const comms = [...this.#targets].filter(([, name]) => wanted === undefined || name === wanted);
		return Object.fromEntries(comms.map(([id, target_name]) => [id, { target_name }]));
	}

	async #pass(kind: CommMessage["kind"], request: Message): Promise<undefined> {
		const { comm_id, target_name, data } = request.content;
		if (typeof comm_id !== "string" || (kind === "open" && typeof target_name !== "string")) {
			process.stderr.write(`octavo: dropped a comm_${kind} without a comm_id or target_name\n`);
			return;
		}
		if (kind === "close") this.#targets.delete(comm_id);
		let own: number | undefined;
		try {
			const message: CommMessage = {
				kind,
				commId: comm_id,
				...(kind === "open" ? { target: target_name as string } : {}),
				data: data ?? {},
				metadata: request.metadata,
				...(request.buffers.length > 0 ? { range: this.#worker.lanes.write(request.buffers) } : {}),
			};
			const known = await this.#worker.request<CommResult>({ method: "comm", ...message }, (id) => {
				own = id;
				this.#requests.set(id, request);
				if (kind === "open") this.#targets.set(comm_id, target_name as string);
			});
			if (kind === "open" && !known.known) this.#refuse(comm_id, request);
		} catch (error) {
			// When the worker dies, what it knew is closed as a whole.
			if (error instanceof WorkerDied) return;
			const [why] = (error as Error).message.split("\n", 1);
			this.#outlet.stream("stderr", `A comm message was lost: ${why}\n`, request);
			if (kind === "open") this.#refuse(comm_id, request);
		} finally {
			if (own !== undefined) this.#requests.delete(own);
		}
	}

	#refuse(comm_id: string, request: Message): void {
		this.#targets.delete(comm_id);
		this.#outlet.publish("comm_close", { comm_id, data: {} }, request);
	}
}
