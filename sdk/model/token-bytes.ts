// The bytes a token of a BPE vocabulary stands for. Byte-level vocabularies write each byte as a printable character;
// SentencePiece ones write a space as ▁ and bytes without a token of their own as <0xE2>.

const encoder = new TextEncoder();

// Printable bytes stand for themselves; the others take the characters from U+0100 on, in order.
const byteOfCharacter: ReadonlyMap<string, number> = (() => {
	const bytes = new Map<string, number>();
	const isPrintable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
	let next = 256;
	for (let byte = 0; byte < 256; byte++) bytes.set(String.fromCodePoint(isPrintable(byte) ? byte : next++), byte);
	return bytes;
})();

/** How a vocabulary writes bytes. */
export type ByteNotation = "byte-level" | "sentence-piece";

/** Bytes of one token's text in the vocabulary. */
export function tokenBytes(token: string, notation: ByteNotation): Uint8Array {
	if (notation === "sentence-piece") {
		const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
		return hex === undefined ? encoder.encode(token.replaceAll("▁", " ")) : Uint8Array.of(Number.parseInt(hex, 16));
	}
	const bytes: number[] = [];
	for (const character of token) {
		const byte = byteOfCharacter.get(character);
		if (byte === undefined) bytes.push(...encoder.encode(character));
		else bytes.push(byte);
	}
	return Uint8Array.from(bytes);
}

/** Length of the part of `bytes` that ends with a whole character, or with bytes that no character begins with. */
export function wholeCharacters(bytes: Uint8Array): number {
	for (let back = 1; back <= Math.min(3, bytes.length); back++) {
		const byte = bytes[bytes.length - back]!;
		if (byte < 0x80) break;
		if (byte < 0xc0) continue;
		const needed = byte >= 0xf5 || byte < 0xc2 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
		return needed > back ? bytes.length - back : bytes.length;
	}
	return bytes.length;
}
