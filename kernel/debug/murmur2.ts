// The hash by which a front end and the kernel name a cell for the debugger without telling each other: MurmurHash2 of
// the cell's UTF-8 text, 32 bits, as JupyterLab computes it.

const multiplier = 0x5bd1e995;

/**
 * Hashes a text.
 *
 * @param seed 32 bits
 * @returns an unsigned 32-bit number
 * Source: Austin Appleby's MurmurHash2.
 */
export function murmur2(text: string, seed: number): number {
	const bytes = Buffer.from(text, "utf8");
	let hash = (seed ^ bytes.length) >>> 0;
	let at = 0;
	for (; bytes.length - at >= 4; at += 4) {
		let word = Math.imul(bytes.readUInt32LE(at), multiplier);
		word = Math.imul(word ^ (word >>> 24), multiplier);
		hash = Math.imul(hash, multiplier) ^ word;
	}
	if (at < bytes.length) {
		hash ^= bytes.readUIntLE(at, bytes.length - at);
		hash = Math.imul(hash, multiplier);
	}
	hash = Math.imul(hash ^ (hash >>> 13), multiplier);
	return (hash ^ (hash >>> 15)) >>> 0;
}
