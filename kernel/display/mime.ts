// One value → one MIME bundle. The value's own display symbol comes first, then the conventions of other kernels, then
// the bytes of known image formats, then text. Whatever fails on the way is noted, and the result is still shown.

import { imageType } from "./image.js";
import { toJson } from "./json.js";
import { plainTextOf } from "./plain-text.js";
import { messageOf } from "./text.js";

/** What a Jupyter message says of one value: the same thing in several formats. `text/plain` is always among them. */
export interface MimeBundle {
	data: Record<string, unknown>;
	metadata: Record<string, unknown>;
}

const displaySymbol = Symbol.for("Jupyter.display");

// Methods by which values showed themselves in other JavaScript kernels, and what they return.
const conventions: readonly (readonly [method: string, mime: string | undefined])[] = [
	["_toMime", undefined],
	["_toHtml", "text/html"],
	["_repr_mimebundle_", undefined],
	["_repr_html_", "text/html"],
	["toHTML", "text/html"],
	["toHtml", "text/html"],
	["_toSvg", "image/svg+xml"],
	["toSVG", "image/svg+xml"],
	["_toPng", "image/png"],
	["toPng", "image/png"],
];

/** The bundle of a value. Never rejects. */
export async function bundleOf(value: unknown): Promise<MimeBundle> {
	try {
		const own = ownDisplay(value);
		return encodeAll(value, own?.check(await own.shown));
	} catch (error) {
		return failed(value, error);
	}
}

/** The bundle of a value as far as it can be had without waiting: a value that shows itself later is text. Never throws. */
export function bundleNow(value: unknown): MimeBundle {
	try {
		const own = ownDisplay(value);
		if (!(own?.shown instanceof Promise)) return encodeAll(value, own?.check(own.shown));
		own.shown.catch(() => {});
		return encodeAll(value, {});
	} catch (error) {
		return failed(value, error);
	}
}

function failed(value: unknown, error: unknown): MimeBundle {
	return encodeAll(value, {}, [`its display failed: ${messageOf(error)}`]);
}

function encodeAll(value: unknown, own: object | undefined, notes: string[] = []): MimeBundle {
	const data: Record<string, unknown> = {};
	for (const [mime, content] of Object.entries(own ?? imageBundle(value) ?? {})) {
		try {
			const encoded = encode(mime, content);
			if (encoded !== undefined) data[mime] = encoded;
		} catch (error) {
			notes.push(`${mime} left out: ${messageOf(error)}`);
		}
	}
	data["text/plain"] ??= plainTextOf(value, data);
	if (notes.length > 0) data["text/plain"] = `${data["text/plain"]}\n(${notes.join("; ")})`;
	return { data, metadata: {} };
}

/** What a value gives to show itself, perhaps as a promise, and the check of what came. */
function ownDisplay(value: unknown): { shown: unknown; check(shown: unknown): object } | undefined {
	if ((typeof value !== "object" && typeof value !== "function") || value === null) return undefined;
	const target = value as Record<string | symbol, unknown>;
	const own = target[displaySymbol];
	if (typeof own === "function") {
		return { shown: own.call(value), check: (shown) => checkBundle(shown, "its display symbol") };
	}
	if (typeof value === "function") return undefined;
	for (const [method, mime] of conventions) {
		const show = target[method];
		if (typeof show !== "function") continue;
		const check = (shown: unknown) => (mime === undefined ? checkBundle(shown, method) : { [mime]: shown });
		return { shown: show.call(value), check };
	}
	const element = elementBundle(target);
	return element && { shown: element, check: () => element };
}

/** Elements of a document outside any browser, and canvases. */
function elementBundle(value: Record<string, unknown>): object | undefined {
	const { outerHTML } = value;
	if (typeof outerHTML === "string")
		return { [/^\s*<svg[\s>]/.test(outerHTML) ? "image/svg+xml" : "text/html"]: outerHTML };
	if (typeof value.toDataURL !== "function") return undefined;
	const [, mime, base64] = /^data:(image\/(?:png|jpeg|webp));base64,(.+)$/.exec(String(value.toDataURL())) ?? [];
	return mime === undefined ? undefined : { [mime]: base64 };
}

function checkBundle(shown: unknown, from: string): object {
	if (typeof shown !== "object" || shown === null || Array.isArray(shown)) {
		const came = shown === null ? "null" : Array.isArray(shown) ? "an array" : `a ${typeof shown}`;
		throw new TypeError(`Expected an object of MIME types from ${from} but received ${came}`);
	}
	const wrong = Object.keys(shown).find((mime) => !/^[\w.+-]+\/[\w.+-]+$/.test(mime));
	if (wrong !== undefined)
		throw new TypeError(`Expected a MIME type from ${from} but received ${JSON.stringify(wrong)}`);
	return shown;
}

function imageBundle(value: unknown): object | undefined {
	if (!(value instanceof Uint8Array)) return undefined;
	const mime = imageType(value);
	return mime === undefined ? undefined : { "text/plain": `Image: ${value.length} bytes`, [mime]: value };
}

/** Content as the protocol wants it: text as one string, bytes as base64, JSON types as JSON. */
function encode(mime: string, content: unknown): unknown {
	if (content === undefined || content === null) return undefined;
	if (/^application\/(.*\+)?json$/.test(mime)) return toJson(content);
	if (typeof content === "string") return content;
	if (content instanceof Uint8Array) {
		const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
		return bytes.toString(mime.startsWith("text/") || mime === "image/svg+xml" ? "utf8" : "base64");
	}
	if (Array.isArray(content) && content.every((line) => typeof line === "string")) return content.join("");
	throw new TypeError(`expected a string or bytes but received a ${typeof content}`);
}
