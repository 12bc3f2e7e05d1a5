// Compiles a cell. V8 keeps the text of each script that it compiles, in case the same comes again, and in Node.js 20 does
// not let go of it: a kernel would grow by every cell that it runs.

import { setFlagsFromString } from "node:v8";
import { Script } from "node:vm";

/** Compiles a text of which V8 keeps nothing. @param filename the script's name */
export function compileOnce(text: string, filename: string): Script {
	setFlagsFromString("--no-compilation-cache");
	try {
		return new Script(text, { filename });
	} finally {
		setFlagsFromString("--compilation-cache");
	}
}
