// What a notebook lends to libraries, so that neither imports the other: a kernel keeps it under a symbol on `globalThis`.
// Elsewhere it is absent, and what would be live is a figure of its moment.

/** A channel to a page that shows an output. */
export interface NotebookComm {
	send(data?: unknown): void;
	onMessage(handler: (event: { data: unknown }) => unknown): () => void;
	close(data?: unknown): void;
}

/** What the kernel puts under `Symbol.for("octavo.notebook")`. */
export interface Notebook {
	/** Shows a value, or replaces the outputs of a name by it; settles when it has been sent. */
	display(value: unknown, options: { displayId: string; update?: boolean }): Promise<unknown>;
	comms: {
		/** Takes channels that pages open to a target. */
		onOpen(target: string, handler: (comm: NotebookComm, event: { data: unknown }) => unknown): () => void;
	};
}

/**
 * Symbol under which a value names the output that it replaces later: the kernel displays such a value under this id, as
 * a cell's last expression too.
 */
export const displayIdSymbol: unique symbol = Symbol.for("octavo.displayId") as never;

/** The notebook that runs this code; undefined outside of one. */
export function notebook(): Notebook | undefined {
	return Reflect.get(globalThis, Symbol.for("octavo.notebook")) as Notebook | undefined;
}
