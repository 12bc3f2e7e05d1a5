// Values → what JSON can say, as the Jupyter protocol needs: typed arrays become arrays, numbers that are not finite
// become null (as plotly reads a gap), whole bigints become numbers where exact and strings where not.

/** Thrown for a value that no JSON can stand for. */
export class NotJsonError extends TypeError {}

/**
 * A JSON value equal to `value` where JSON can say it. Functions, symbols and undefined are left out of objects and null
 * in arrays; `toJSON` is honoured; maps become objects, sets arrays.
 *
 * @throws {NotJsonError} for a cycle, or for more than 1,000 levels
 */
export function toJson(value: unknown): unknown {
	return convert(value, []);
}

function convert(value: unknown, path: object[]): unknown {
	switch (typeof value) {
		case "number":
			return Number.isFinite(value) ? value : null;
		case "bigint":
			return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
		case "string":
		case "boolean":
			return value;
		case "object":
			break;
		default:
			return undefined;
	}
	if (value === null) return null;
	if (path.includes(value)) throw new NotJsonError("Expected a value that JSON can say but received a cycle");
	if (path.length > 1000) throw new NotJsonError("Expected at most 1,000 levels but received more");
	path.push(value);
	const result = convertObject(value, path);
	path.pop();
	return result;
}

function convertObject(value: object, path: object[]): unknown {
	if ("toJSON" in value && typeof value.toJSON === "function" && !ArrayBuffer.isView(value)) {
		const given: unknown = value.toJSON();
		return given === value ? null : convert(given, path);
	}
	const item = (each: unknown) => convert(each, path) ?? null;
	if (ArrayBuffer.isView(value)) {
		return value instanceof DataView ? null : Array.from(value as unknown as ArrayLike<number | bigint>, item);
	}
	if (Array.isArray(value) || value instanceof Set) return Array.from(value, item);
	const entries = value instanceof Map ? value : Object.entries(value);
	// Without a prototype while it is filled: a key may be `__proto__`.
	const result: Record<string, unknown> = Object.create(null);
	for (const [key, each] of entries) {
		const converted = convert(each, path);
		if (converted !== undefined) result[String(key)] = converted;
	}
	return { ...result };
}
