// Collects a cell's messages into nbformat outputs, as a front end would show them: stream text runs together, a display
// can be replaced later by its id, from any cell, and a clear may wait for what comes next.

import type { KernelMessage } from "@jupyterlab/services";
import type { Output } from "./notebook.js";

type Shown = Extract<Output, { output_type: "display_data" | "execute_result" }>;

/** Displays by id, over all cells of a run. */
export class DisplayRegistry {
	readonly #shown = new Map<string, Shown[]>();

	/** Remembers an output that has an id. */
	add(id: string, output: Shown): void {
		const known = this.#shown.get(id);
		if (known) known.push(output);
		else this.#shown.set(id, [output]);
	}

	/** Replaces the content of every display with this id. */
	update(id: string, data: Shown["data"], metadata: Shown["metadata"]): void {
		for (const output of this.#shown.get(id) ?? []) Object.assign(output, { data, metadata });
	}
}

/** The outputs of one cell. */
export class OutputCollector {
	readonly outputs: Output[] = [];
	readonly #displays: DisplayRegistry;
	#clearsAtNext = false;

	constructor(displays: DisplayRegistry) {
		this.#displays = displays;
	}

	/** Takes one message of the cell; those that are no output are ignored. */
	take(message: KernelMessage.IIOPubMessage): void {
		const content = message.content as Record<string, unknown>;
		switch (message.header.msg_type) {
			case "stream":
				this.#addStream(String(content.name), String(content.text));
				break;
			case "display_data":
			case "execute_result":
				this.#addDisplay(message.header.msg_type, content);
				break;
			case "update_display_data": {
				const id = displayId(content);
				if (id !== undefined) this.#displays.update(id, mimeOf(content), metadataOf(content));
				break;
			}
			case "error":
				this.#add({
					output_type: "error",
					ename: String(content.ename),
					evalue: String(content.evalue),
					traceback: Array.isArray(content.traceback) ? content.traceback.map(String) : [],
				});
				break;
			case "clear_output":
				if (content.wait === true) this.#clearsAtNext = true;
				else this.#clear();
				break;
		}
	}

	#addStream(name: string, text: string): void {
		const last = this.#clearsAtNext ? undefined : this.outputs.at(-1);
		if (last?.output_type === "stream" && last.name === name) last.text += text;
		else this.#add({ output_type: "stream", name, text });
	}

	#addDisplay(type: "display_data" | "execute_result", content: Record<string, unknown>): void {
		const common = { data: mimeOf(content), metadata: metadataOf(content) };
		const count = Number.isInteger(content.execution_count) ? (content.execution_count as number) : null;
		const output: Shown =
			type === "display_data"
				? { output_type: type, ...common }
				: { output_type: type, execution_count: count, ...common };
		const id = displayId(content);
		if (id !== undefined) this.#displays.add(id, output);
		this.#add(output);
	}

	#add(output: Output): void {
		if (this.#clearsAtNext) this.#clear();
		this.outputs.push(output);
	}

	#clear(): void {
		this.#clearsAtNext = false;
		this.outputs.length = 0;
	}
}

function displayId(content: Record<string, unknown>): string | undefined {
	const id = (content.transient as Record<string, unknown> | undefined)?.display_id;
	return typeof id === "string" ? id : undefined;
}

function mimeOf(content: Record<string, unknown>): Shown["data"] {
	return (content.data ?? {}) as Shown["data"];
}

function metadataOf(content: Record<string, unknown>): Shown["metadata"] {
	return (content.metadata ?? {}) as Shown["metadata"];
}
