// What tslab takes for TypeScript's watch program: it is told of a changed text as the real one is, by a watcher of the
// file, and given another program at its next turn; but which programs those are is decided elsewhere.

import type TypeScript from "typescript";
import type { Builder } from "./cell-program.js";
import { attempt } from "./compiler-limits.js";

/** Who makes the programs. */
export interface ProgramSource {
	/** Takes the options and the file system that tslab has chosen; called first. */
	open(sys: TypeScript.System, options: TypeScript.CompilerOptions): void;
	/** Takes the files that are always part of the program. */
	setRoots(roots: readonly string[]): void;
	/** Gives the program of the texts as they are now. */
	make(): Builder;
}

interface Host {
	roots: string[];
	sys: TypeScript.System;
	afterProgramCreate(builder: Builder): void;
}

/** Replaces the watch program in a copy of TypeScript's exports. */
export function replaceWatchProgram(copy: Record<string, unknown>, source: ProgramSource): void {
	copy.createWatchCompilerHost = (
		roots: string[],
		options: TypeScript.CompilerOptions,
		sys: TypeScript.System,
	): Omit<Host, "afterProgramCreate"> => {
		source.open(sys, options);
		return { roots, sys };
	};

	copy.createWatchProgram = (host: Host) => {
		let isPending = false;
		const update = () => {
			isPending = false;
			host.afterProgramCreate(attempt(() => source.make()));
		};
		const schedule = () => {
			if (!isPending) host.sys.setTimeout!(update, 0);
			isPending = true;
		};
		source.setRoots(host.roots);
		for (const root of host.roots) host.sys.watchFile!(root, schedule);
		update();
		return {
			close() {},
			updateRootFileNames(roots: string[]) {
				source.setRoots(roots);
				schedule();
			},
		};
	};
}
