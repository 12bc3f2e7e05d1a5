// Reads the JSON files of a model folder, with the file's name in every error.

import { readFile } from "node:fs/promises";
import { OctavoError, type OctavoErrorCode } from "../errors.js";

/** @throws {OctavoError} with the given code: no such file, or no JSON */
export async function readJson(path: string, code: OctavoErrorCode): Promise<unknown> {
	try {
		return JSON.parse(await readFile(path, "utf8"));
	} catch (error) {
		throw new OctavoError(code, `Expected a JSON file at ${path} but received: ${(error as Error).message}`, {
			cause: error,
		});
	}
}

/** The same; undefined where there is no such file. */
export async function readOptionalJson(path: string, code: OctavoErrorCode): Promise<unknown> {
	try {
		return await readJson(path, code);
	} catch (error) {
		if (((error as Error).cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw error;
	}
}
