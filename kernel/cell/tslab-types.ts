// The part of tslab's inside that the evaluator uses; tslab publishes no types of it.

import type { QuickInfo, TslabCompletions } from "./language.js";
import type { Diagnostic } from "./refusal.js";

/** What tslab makes of a cell. */
export interface Converted {
	output?: string;
	declOutput?: string;
	diagnostics: Diagnostic[];
	hasToplevelAwait?: boolean;
	lastExpressionVar?: string;
	sideOutputs?: { path: string; data: string }[];
}

/** tslab's compiler of cells. */
export interface Converter {
	convert(declarations: string, code: string): Converted;
	inspect(declarations: string, code: string, position: number): QuickInfo | undefined;
	complete(declarations: string, code: string, position: number): TslabCompletions;
	addModule(name: string, code: string, meta?: unknown): Diagnostic[];
	close(): void;
}

/** What runs converted cells. */
export interface Executor {
	execute(code: string): Promise<boolean>;
	interrupt(): void;
}
