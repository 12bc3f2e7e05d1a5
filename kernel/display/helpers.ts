// Values that show themselves as given content: what a cell passes to `display` for a heading, a formula or an image.

import { OctavoError, received } from "../../sdk/errors.js";
import { imageType } from "./image.js";

const displaySymbol = Symbol.for("Jupyter.display");

/** A value with the display symbol, which front ends show by its MIME types. */
export interface Displayable {
	[displaySymbol: symbol]: () => Record<string, unknown>;
}

function displayable(data: Record<string, unknown>): Displayable {
	return { [displaySymbol]: () => data };
}

/** Text longer than this is not sent twice, in UTF-16 units: no terminal's reader wants it, and every front end would wait. */
const maxPlainLength = 20_000;

/** What stands for a text where only text can be shown. @param what what it is, where it is too long */
function plain(text: string, what: string): string {
	return text.length > maxPlainLength ? `${what}: ${text.length} characters` : text;
}

/** Shows HTML. It is not cleaned: scripts in it run. */
export function html(text: string): Displayable {
	return displayable({ "text/plain": plain(text, "HTML"), "text/html": text });
}

/** Shows Markdown, rendered by the front end. */
export function markdown(text: string): Displayable {
	return displayable({ "text/plain": plain(text, "Markdown"), "text/markdown": text });
}

/** Shows LaTeX; text without dollar signs is a formula of its own. */
export function latex(text: string): Displayable {
	const formula = text.includes("$") ? text : `$$${text}$$`;
	return displayable({ "text/plain": plain(text, "LaTeX"), "text/latex": formula });
}

/** Shows a value as JSON. */
export function json(value: unknown): Displayable {
	return { [displaySymbol]: () => ({ "application/json": value }) };
}

/** Shows an SVG drawing. */
export function svg(text: string): Displayable {
	return displayable({ "text/plain": `SVG: ${text.length} characters`, "image/svg+xml": text });
}

/** Shows an image. @throws {OctavoError} ERR_OCTAVO_DISPLAY for bytes of no known format */
export function image(bytes: Uint8Array): Displayable {
	const mime = bytes instanceof Uint8Array ? imageType(bytes) : undefined;
	if (mime === undefined) {
		const expected = "the bytes of a PNG, JPEG, GIF, WebP or SVG image";
		throw new OctavoError("ERR_OCTAVO_DISPLAY", `Expected ${expected} but received ${received(bytes)}`);
	}
	return displayable({ "text/plain": `Image: ${bytes.length} bytes`, [mime]: bytes });
}
