// The numbers that a batch is judged by, from its tables. Rates count the time of steps only: a batch that waits for
// arrivals, or for its caller, is not slow.

import type { PlainColumns } from "./iteration-tables.js";

/** The value that a share of the sorted values does not exceed, by nearest rank; null of none. */
function percentile(values: readonly number[], share: number): number | null {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
}

/** The middle value, or the mean of the two in the middle; null of none. */
function median(values: readonly number[]): number | null {
	const sorted = [...values].sort((a, b) => a - b);
	const middle = sorted.length >> 1;
	if (sorted.length === 0) return null;
	return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Columns of the table `summary`: one row. */
export function summarize({
	requests,
	throughput,
}: Readonly<Record<"requests" | "throughput", PlainColumns>>): PlainColumns {
	const numbers = (columns: PlainColumns, name: string) =>
		((columns[name] ?? []) as (number | null)[]).filter((value): value is number => value !== null);
	const sum = (name: string) => numbers(throughput, name).reduce((total, value) => total + value, 0);
	const [ttft, tpot] = [numbers(requests, "ttft_us"), numbers(requests, "tpot_us")];
	const atOnce = numbers(throughput, "num_output_tokens").filter((count) => count > 0);
	const [prompt, output, wallUs] = [sum("num_prompt_tokens"), sum("num_output_tokens"), sum("total_us")];
	const perSecond = (tokens: number) => (wallUs > 0 ? (tokens / wallUs) * 1e6 : null);
	const states = (requests.state ?? []) as readonly string[];
	const largest = (values: readonly number[]) => values.reduce((most, value) => Math.max(most, value), 0);
	const row: Record<string, number | null> = {
		num_sequences: states.length,
		num_finished: states.filter((state) => state === "finished").length,
		num_prompt_tokens: prompt,
		num_output_tokens: output,
		wall_us: wallUs,
		total_tokens_per_s: perSecond(prompt + output),
		output_tokens_per_s: perSecond(output),
		ttft_median_us: median(ttft),
		ttft_p95_us: percentile(ttft, 0.95),
		tpot_median_us: median(tpot),
		tpot_p95_us: percentile(tpot, 0.95),
		most_at_once: largest(atOnce),
		mean_at_once: atOnce.length > 0 ? output / atOnce.length : null,
		num_preemptions: sum("num_preempted"),
		least_free_blocks: percentile(numbers(throughput, "num_free_blocks"), 0),
	};
	return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, [value]]));
}
