// A layer's cache as it stands: its block table, its blocks, and the memory behind them. Table and counts are of the
// moment of the call; keys and values are the engine's own memory and change as the session goes on.

import type { LayerState, NativeSession } from "../../native/addon.js";
import { native, OctavoError, received } from "../errors.js";
import { checkOptions, integer, optional } from "../options.js";
import { Tensor } from "../tensor.js";
import { type BlockTable, makeBlockTable } from "../trace/block-table.js";
import { showTable } from "../trace/table-view.js";

/** What `pattern` shows. */
export interface PatternOptions {
	/** One query head, from 0. Default: all. */
	head?: number;
}

const cacheAxes = ["block", "kv_head", "slot", "head_dim"];

/** One block of a layer's table. */
export interface BlockView {
	/** Index of its layer. */
	layer: number;
	/** Place in the block table. */
	logicalIndex: number;
	/** Physical block. */
	blockId: number;
	/** Filled slots, holes among them; slots beyond hold zeros or what the block held before. */
	filled: number;
	/** Live slots: those that attention reads. */
	numLive: number;
	/** The policy's score, higher is kept; NaN while it has none. */
	score: number;
	/** Sequences that hold the block. */
	refCount: number;
	/** RoPE positions of the filled slots; -1 in a hole. Where each KV head holds its own tokens: those of head 0. */
	positions: Int32Array;
	/** RoPE positions in each KV head that holds its own tokens; absent where all hold the same. */
	headPositions?: Int32Array[];
	/** Names of the tokens in the live slots. */
	text: string;
	/** [num_kv_heads, block_size, head_dim] of the session's `kvDtype`, after RoPE; no copy. */
	keys: Tensor;
	/** [num_kv_heads, block_size, head_dim] of the session's `kvDtype`; no copy. */
	values: Tensor;
}

/**
 * One layer's cache.
 *
 * @example
 * ```ts
 * import { loadModel, policies, tasks } from "octavo";
 * const model = await loadModel();
 * using session = model.session({ blockSize: 8, policy: policies.keyDiff({ budget: 64 }) });
 * await session.prefill(tasks.recall({ seed: 1 }).context);
 * const layer = session.layer(3);
 * console.log(layer.kvLen, layer.numBlocks, layer.block(7).keys.shape.join());   // 64 8 2,8,32
 * ```
 */
export class LayerView {
	/** Index of the layer. */
	readonly index: number;
	/** [num_blocks, num_kv_heads, block_size, head_dim] of the session's `kvDtype`, after RoPE: all physical blocks; no copy. */
	readonly keys: Tensor;
	/** [num_blocks, num_kv_heads, block_size, head_dim] of the session's `kvDtype`: all physical blocks; no copy. */
	readonly values: Tensor;
	/**
	 * i32 [num_blocks, block_size]: RoPE position in each slot, -1 in slots never filled; no copy. Where each KV head
	 * holds its own tokens: [num_blocks, num_kv_heads, block_size].
	 */
	readonly positions: Tensor;
	readonly #state: LayerState;
	readonly #session: NativeSession;
	readonly #text: (positions: Int32Array) => string;

	/** Made by `session.layer`. */
	constructor(session: NativeSession, index: number, text: (positions: Int32Array) => string) {
		this.index = index;
		this.#session = session;
		const cache = native(() => session.layerCache(index));
		this.keys = Tensor.fromNative(cache.keys, cacheAxes);
		this.values = Tensor.fromNative(cache.values, cacheAxes);
		const positionAxes = cache.positions.shape.length === 3 ? ["block", "kv_head", "slot"] : ["block", "slot"];
		this.positions = Tensor.fromNative(cache.positions, positionAxes);
		this.#state = native(() => session.layerState(index));
		this.#text = text;
	}

	/** Blocks in the table. */
	get numBlocks(): number {
		return this.#state.blockIds.length;
	}

	/** Live slots: the tokens that attention reads. */
	get kvLen(): number {
		return this.#state.kvLen;
	}

	/** Blocks that only snapshots and history hold: evicted or left behind, and there to be brought back. */
	get numParkedBlocks(): number {
		return this.#state.numParkedBlocks;
	}

	/**
	 * What attention gives each live slot for the query of the last token, now: each row adds up to 1. At a stop before
	 * an eviction: what it would give if nothing went. Slots are in logical order; `block(i).positions` names them.
	 *
	 * @returns f32 [kv_len] for one head, [num_query_heads, kv_len] for all; a copy
	 * @throws {OctavoError} ERR_OCTAVO_PATTERN right after a prefill that dropped tokens, or before any step;
	 * ERR_OCTAVO_OPTION for a head that there is not
	 */
	pattern(options: PatternOptions = {}): Tensor {
		const probabilities = native(() => this.#session.attentionPattern(this.index));
		const kvLen = native(() => this.#session.layerState(this.index)).kvLen;
		const numHeads = probabilities.length / kvLen;
		const { head } = checkOptions("pattern()", options, { head: optional(integer(0, numHeads - 1, 0)) });
		const all = new Tensor("f32", probabilities, [numHeads, kvLen], ["query_head", "slot"]);
		return head === undefined ? all : all.at(head);
	}

	/** Blocks left in the layer's pool. */
	get numFreeBlocks(): number {
		return this.#state.numFreeBlocks;
	}

	/**
	 * One block.
	 *
	 * @param logicalIndex place in the block table, from 0 to `numBlocks - 1`
	 * @throws {OctavoError} ERR_OCTAVO_BLOCK for a place outside the table
	 */
	block(logicalIndex: number): BlockView {
		const blockId = this.#state.blockIds[logicalIndex];
		if (blockId === undefined) {
			const range =
				this.numBlocks === 0 ? "no block, as the table is empty," : `a block from 0 to ${this.numBlocks - 1}`;
			throw new OctavoError(
				"ERR_OCTAVO_BLOCK",
				`Expected ${range} in layer ${this.index} but received ${received(logicalIndex)}`,
			);
		}
		const filled = this.#state.filled[logicalIndex]!;
		const blockSize = this.positions.shape.at(-1)!;
		const holes = this.#state.deadSlots
			.filter((slot) => Math.trunc(slot / blockSize) === logicalIndex)
			.map((slot) => slot % blockSize);
		const rows = this.positions.at(blockId).data as Int32Array;
		const headPositions = Array.from({ length: rows.length / blockSize }, (_, row) => {
			const ofRow = rows.slice(row * blockSize, row * blockSize + filled);
			for (const hole of holes) ofRow[hole] = -1;
			return ofRow;
		});
		const positions = headPositions[0]!;
		return {
			layer: this.index,
			logicalIndex,
			blockId,
			filled,
			numLive: filled - holes.length,
			score: this.#state.scores[logicalIndex]!,
			refCount: this.#state.refCounts[logicalIndex]!,
			positions,
			...(this.positions.shape.length === 3 ? { headPositions } : {}),
			text: this.#text(positions.filter((position) => position >= 0)),
			keys: this.keys.at(blockId),
			values: this.values.at(blockId),
		};
	}

	/** All blocks, in logical order. */
	get blocks(): BlockView[] {
		return Array.from({ length: this.numBlocks }, (_, i) => this.block(i));
	}

	/** The block table as an Arrow table, a row a block. */
	get blockTable(): BlockTable {
		return makeBlockTable(this.blocks);
	}

	/** Shows the block table. */
	[Symbol.for("Jupyter.display")](): Record<string, string | Uint8Array> {
		return showTable(this.blockTable);
	}
}
