// Errors that a user can act on: a code, what was expected, what came.

/** Codes of every error this SDK throws on purpose. */
export type OctavoErrorCode = `ERR_OCTAVO_${string}`;

/**
 * Thrown for bad input and exhausted resources. The session or model it came from stays usable unless its `code` is
 * `ERR_OCTAVO_CLOSED`.
 *
 * @example
 * ```ts
 * import { loadModel, OctavoError, policies } from "octavo";
 * const model = await loadModel();
 * try {
 *   model.session({ blockSize: 16, policy: policies.pagedEviction({ budget: 100 }) });
 * } catch (error) {
 *   console.log((error as OctavoError).code);   // ERR_OCTAVO_BUDGET
 * }
 * ```
 */
export class OctavoError extends Error {
	/** Stable across versions; the message is not. */
	readonly code: OctavoErrorCode;

	constructor(code: OctavoErrorCode, message: string, options?: ErrorOptions) {
		super(message, options);
		this.name = "OctavoError";
		this.code = code;
	}
}

/** Formats one value for an error message: short, unambiguous, on one line. */
export function received(value: unknown): string {
	if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
	if (typeof value === "function") return `function ${value.name || "(anonymous)"}`;
	if (Array.isArray(value)) return `an array of length ${value.length}`;
	if (typeof value === "object" && value !== null) return `an instance of ${value.constructor?.name ?? "Object"}`;
	return typeof value === "bigint" ? `${value}n` : String(value);
}

/** Turns an error of the native engine into an `OctavoError`; others come back as they are. */
export function fromNative(error: unknown): unknown {
	if (error instanceof OctavoError || !(error instanceof Error)) return error;
	const { code } = error as NodeJS.ErrnoException;
	if (!code?.startsWith("ERR_OCTAVO_")) return error;
	return new OctavoError(code as OctavoErrorCode, error.message, { cause: error });
}

/** Calls the native engine, so that its errors arrive as `OctavoError`. */
export function native<T>(call: () => T): T {
	try {
		return call();
	} catch (error) {
		throw fromNative(error);
	}
}
