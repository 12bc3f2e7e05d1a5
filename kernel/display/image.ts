// Which image format bytes are in, by how they begin.

const signatures: readonly (readonly [mime: string, at: number, bytes: readonly number[]])[] = [
	["image/png", 0, [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
	["image/jpeg", 0, [0xff, 0xd8, 0xff]],
	["image/gif", 0, [0x47, 0x49, 0x46, 0x38]],
	// Behind "RIFF" and a length.
	["image/webp", 8, [0x57, 0x45, 0x42, 0x50]],
];
const svgStart = /^\uFEFF?\s*(<\?xml[^>]*>\s*)?(<!--[\s\S]*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg[\s>]/;

/** MIME type of an image; undefined for other bytes. */
export function imageType(bytes: Uint8Array): string | undefined {
	for (const [mime, at, signature] of signatures) {
		if (signature.every((byte, i) => bytes[at + i] === byte)) return mime;
	}
	const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 512)).toString("utf8");
	return svgStart.test(head) ? "image/svg+xml" : undefined;
}
