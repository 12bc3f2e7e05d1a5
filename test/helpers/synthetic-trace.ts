// A small trace made by hand, with no engine: blocks of 4 slots, a budget of 12 tokens, a prompt of 14 and ten decoded
// tokens. Layer 0 drops the lowest-scoring block, layer 1 always the oldest that is not protected.

import { Trace } from "../../sdk/trace/trace.js";

const blockSize = 4;
const budget = 12;
const promptLength = 14;
const numDecoded = 10;

interface Block {
	id: number;
	positions: number[];
}

/** Score of a token at a position: falls and rises, with exact values in binary. */
const tokenScore = (position: number) => 1 + ((position * 5) % 8) / 8;

const blockScore = (block: Block) =>
	block.positions.reduce((sum, p) => sum + tokenScore(p), 0) / block.positions.length;

/** Columns by name, filled row by row. */
function columns() {
	const rows: Record<string, unknown>[] = [];
	return {
		push: (row: Record<string, unknown>) => rows.push(row),
		arrays: () => Object.fromEntries(Object.keys(rows[0]!).map((name) => [name, rows.map((row) => row[name])])),
	};
}

/** The trace. Both layers drop two prompt tokens at step 0 and evict a block at steps 4 and 8. */
export function syntheticTrace({ withBlocks = true }: { withBlocks?: boolean } = {}): Trace {
	const [steps, blocks, evictions, memory] = [columns(), columns(), columns(), columns()];
	const layers: Block[][] = [[], []];
	const free: number[][] = [
		[0, 1, 2, 3],
		[0, 1, 2, 3],
	];

	const evict = (row: Record<string, unknown>) => evictions.push({ eviction_id: evictionId++, ...row });
	let evictionId = 0;

	for (let step = 0; step <= numDecoded; step++) {
		const position = promptLength - 1 + step;
		steps.push({
			step_index: step,
			phase: step === 0 ? "prefill" : "decode",
			token_id: 100 + position,
			position_index: position,
			num_tokens: step === 0 ? promptLength : 1,
			forced: step === 0,
			token_logprob: step === 0 ? Number.NaN : -0.5,
			entropy: 0.25,
			total_us: 100,
			attention_us: 40,
			score_us: 5,
			evict_us: 2,
		});
		layers.forEach((table, layer) => {
			if (step === 0) {
				const candidates = [4, 5, 6, 7, 8, 9, 10, 11];
				const byScore = [...candidates].sort((a, b) => tokenScore(a) - tokenScore(b));
				const dropped = (layer === 0 ? byScore : candidates).slice(0, promptLength - budget).sort((a, b) => a - b);
				const kept = candidates.filter((p) => !dropped.includes(p));
				evict({
					step_index: 0,
					layer_index: layer,
					phase: "prefill",
					granularity: "token",
					logical_index: -1,
					block_id: -1,
					slot_index: -1,
					kv_head: -1,
					freed: false,
					chosen_by: "policy",
					score: Math.max(...dropped.map(tokenScore)),
					runner_up_score: Math.min(...kept.map(tokenScore)),
					positions: dropped,
					candidates,
					candidate_scores: candidates.map(tokenScore),
				});
				const survivors = [0, 1, 2, 3, ...kept, 12, 13];
				while (survivors.length > 0)
					table.push({ id: free[layer]!.shift()!, positions: survivors.splice(0, blockSize) });
			} else {
				if (table.at(-1)!.positions.length === blockSize) table.push({ id: free[layer]!.shift()!, positions: [] });
				table.at(-1)!.positions.push(position);
				const full = table.at(-1)!.positions.length === blockSize;
				if (full && table.length * blockSize > budget) {
					const candidates = table.slice(1, -1).map((_, i) => i + 1);
					const scores = candidates.map((i) => blockScore(table[i]!));
					const lowest = layer === 0 ? candidates[scores.indexOf(Math.min(...scores))]! : 1;
					const gone = table[lowest]!;
					evict({
						step_index: step,
						layer_index: layer,
						phase: "decode",
						granularity: "block",
						logical_index: lowest,
						block_id: gone.id,
						slot_index: -1,
						kv_head: -1,
						freed: true,
						chosen_by: "policy",
						score: blockScore(gone),
						runner_up_score: Math.min(...candidates.filter((i) => i !== lowest).map((i) => blockScore(table[i]!))),
						positions: gone.positions,
						candidates,
						candidate_scores: scores,
					});
					table.splice(lowest, 1);
					free[layer]!.push(gone.id);
				}
			}
			table.forEach((block, logical) => {
				blocks.push({
					step_index: step,
					layer_index: layer,
					logical_index: logical,
					block_id: block.id,
					kv_head: -1,
					filled: block.positions.length,
					score: block.positions.length === blockSize ? blockScore(block) : Number.NaN,
					positions: [...block.positions],
				});
			});
			const live = table.reduce((sum, block) => sum + block.positions.length, 0);
			const allocated = table.length * blockSize;
			memory.push({
				step_index: step,
				layer_index: layer,
				live_tokens: live,
				allocated_tokens: allocated,
				num_blocks: table.length,
				num_free_blocks: free[layer]!.length,
				num_parked_blocks: 0,
				live_bytes: live * 512,
				allocated_bytes: allocated * 512,
				fragmentation: 1 - live / allocated,
				num_nan_scores: 0,
			});
		});
	}
	return Trace.from(
		{
			steps: steps.arrays(),
			...(withBlocks ? { blocks: blocks.arrays() } : {}),
			evictions: evictions.arrays(),
			memory: memory.arrays(),
		},
		{
			version: "0.1.0",
			model: "by-hand",
			policy: "paged-eviction",
			policyOptions: { budget },
			blockSize,
			numBlocks: 4,
			numLayers: 2,
			seed: 7,
			engine: "no engine",
		},
	);
}
