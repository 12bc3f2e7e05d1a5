// Seeded random numbers for task generators: SplitMix64, so that a prompt is a function of its seed on every machine.

const mask = (1n << 64n) - 1n;

/** A stream of random numbers. */
export class SeededRandom {
	#state: bigint;

	/** @param seed a whole number from 0 to 2^53 - 1 */
	constructor(seed: number) {
		this.#state = BigInt(seed);
	}

	/** A number from 0 up to 1, with 53 random bits. Source: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). */
	next(): number {
		this.#state = (this.#state + 0x9e3779b97f4a7c15n) & mask;
		let z = this.#state;
		z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
		z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask;
		z ^= z >> 31n;
		return Number(z >> 11n) / 2 ** 53;
	}

	/** A whole number from `low` up to, and without, `high`. */
	integer(low: number, high: number): number {
		return low + Math.floor(this.next() * (high - low));
	}

	/** Draws `count` different items. */
	sample<T>(items: readonly T[], count: number): T[] {
		const pool = [...items];
		for (let i = 0; i < count; i++) {
			const j = this.integer(i, pool.length);
			[pool[i], pool[j]] = [pool[j]!, pool[i]!];
		}
		return pool.slice(0, count);
	}
}
