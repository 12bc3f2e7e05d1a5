// A debugger's front end for tests: speaks the Debug Adapter Protocol inside Jupyter messages as JupyterLab does.

import assert from "node:assert/strict";
import { type Exchange, KernelClient, type KernelOptions } from "./kernel-client.js";

/** A frame of a stack. */
export interface Frame {
	id: number;
	name: string;
	line: number;
	column: number;
	source: { path: string };
}

/** A variable as listed. */
export interface Variable {
	name: string;
	value: string;
	type: string;
	variablesReference: number;
	indexedVariables?: number;
}

/** What JupyterLab and VS Code alike say of themselves in `initialize`. */
export const frontEnd = {
	pathFormat: "path",
	linesStartAt1: true,
	columnsStartAt1: true,
	supportsVariableType: true,
	supportsVariablePaging: true,
	supportsRunInTerminalRequest: true,
	locale: "en",
};

/** A kernel with a debugger at it. */
export class DebugClient {
	readonly kernel: KernelClient;
	#seq = 1;
	#seen = 0;

	constructor(kernel: KernelClient) {
		this.kernel = kernel;
	}

	/** Starts a kernel and attaches. */
	static async start(options?: KernelOptions): Promise<DebugClient> {
		const client = new DebugClient(await KernelClient.start(options));
		await client.ask("initialize", {
			clientID: "test",
			pathFormat: "path",
			linesStartAt1: true,
			columnsStartAt1: true,
		});
		await client.ask("attach");
		return client;
	}

	/** Sends a request and gives its response. */
	// biome-ignore lint/suspicious/noExplicitAny: bodies differ by command.
	request(command: unknown, args?: unknown): Promise<any> {
		const request = { type: "request", seq: this.#seq++, command, ...(args !== undefined && { arguments: args }) };
		return this.kernel.ask("debug_request", request, "control");
	}

	/** Sends a request that succeeds and gives the response's body. */
	// biome-ignore lint/suspicious/noExplicitAny: bodies differ by command.
	async ask(command: string, args: unknown = {}): Promise<any> {
		const response = await this.request(command, args);
		assert.equal(response.success, true, `${command}: ${response.message}`);
		return response.body;
	}

	/** Sends a request that fails and gives the message. */
	async refused(command: unknown, args: unknown = {}): Promise<string> {
		const response = await this.request(command, args);
		assert.equal(response.success, false, `${command} succeeded`);
		assert.equal(typeof response.message, "string");
		return response.message;
	}

	/** Dumps a cell, sets breakpoints in it and gives its path. */
	async breakAt(code: string, ...breakpoints: (number | object)[]): Promise<string> {
		const { sourcePath } = await this.ask("dumpCell", { code });
		await this.setBreakpoints(sourcePath, ...breakpoints);
		return sourcePath;
	}

	/** Sets breakpoints in a source. */
	async setBreakpoints(path: string, ...breakpoints: (number | object)[]) {
		const wanted = breakpoints.map((one) => (typeof one === "number" ? { line: one } : one));
		return (await this.ask("setBreakpoints", { source: { path }, breakpoints: wanted, sourceModified: false }))
			.breakpoints as { id: number; verified: boolean; line: number; message?: string }[];
	}

	/** Events of a name, in the order in which they came. */
	// biome-ignore lint/suspicious/noExplicitAny: bodies differ by event.
	events(name: string): any[] {
		const all = this.kernel.messages.filter(({ type, content }) => type === "debug_event" && content.event === name);
		return all.map(({ content }) => content.body);
	}

	/** Waits for the next stop and gives it with its frames. */
	async stopped(): Promise<{ reason: string; text?: string; hitBreakpointIds?: number[]; frames: Frame[] }> {
		const number = this.#seen++;
		await this.kernel.until(() => this.events("stopped").length > number);
		const { stackFrames } = await this.ask("stackTrace", { threadId: 1 });
		return { ...this.events("stopped")[number], frames: stackFrames };
	}

	/** Moves on and gives the next stop. */
	async move(command: "continue" | "next" | "stepIn" | "stepOut") {
		await this.ask(command, { threadId: 1 });
		return this.stopped();
	}

	/** Variables of a scope of a frame. */
	async variables(frameId: number, scope: string): Promise<Variable[]> {
		const { scopes } = await this.ask("scopes", { frameId });
		const found = scopes.find(({ name }: { name: string }) => name === scope);
		assert.ok(found, `no scope ${scope} among ${JSON.stringify(scopes)}`);
		return (await this.ask("variables", { variablesReference: found.variablesReference })).variables;
	}

	/** Starts a cell. */
	run(code: string): string {
		return this.kernel.send("execute_request", { code });
	}

	/** Goes on until the cell is over. */
	async finish(id: string): Promise<Exchange> {
		await this.ask("continue", { threadId: 1 });
		return this.kernel.exchange(id);
	}
}
