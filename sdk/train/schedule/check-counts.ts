// What must happen once: every subgroup's update, after the gradient norm, and every layer's passes.

import type { ContentFacts } from "./check-contents.js";
import type { Problem } from "./checker.js";
import type { Order } from "./order.js";
import { content, type Schedule, stateQuantities, type Task } from "./task.js";

const updateKinds = new Set(["host-update", "fused-update", "device-update"]);

/** Every subgroup updated once, after the norm of all gradients, and new where it lives. */
export function countUpdates(
	{ tasks, buffers, configuration }: Schedule,
	order: Order,
	facts: ContentFacts,
): Problem[] {
	const problems: Problem[] = [];
	const norm = tasks.findIndex((task) => task.kind === "norm");
	const finals = new Set(buffers.map((buffer) => buffer.final));
	const normed = new Set(tasks[norm]?.reads.map((access) => access.content));
	for (const subgroup of configuration.subgroupNumels.keys()) {
		const name = content("master", subgroup, "new");
		const makes = (task: Task): boolean => updateKinds.has(task.kind) && task.writes.some((a) => a.content === name);
		const updates = tasks.flatMap((task, index) => (makes(task) ? [index] : []));
		const ids = updates.map((index) => tasks[index]!.id);
		const what = `subgroup ${subgroup}`;
		if (ids.length === 0) {
			const message = `${what} is never updated`;
			problems.push({ kind: "never-updated", tasks: [], message, mend: `add an update of ${what}` });
		} else if (ids.length > 1) {
			const message = `${what} is updated by ${ids[0]} and again by ${ids[1]}`;
			problems.push({ kind: "updated-twice", tasks: ids, message, mend: `take ${ids[1]} out` });
		}
		for (const index of updates) {
			if (norm >= 0 && order.precedes(norm, index)) continue;
			const [id, wait] = [tasks[index]!.id, tasks[norm]?.id ?? "norm"];
			const message = `${id} may run before the gradient norm is known`;
			problems.push({ kind: "unordered", tasks: [id, wait], message, mend: `let ${id} wait for ${wait}` });
		}
		const quantities = [...stateQuantities, "parameter"] as const;
		for (const lost of quantities.map((q) => content(q, subgroup, "new")).filter((of) => !finals.has(of))) {
			const message = `no buffer must hold ${lost} at the end`;
			problems.push({ kind: "incomplete", tasks: ids, message, mend: `set final: "${lost}" on its home` });
		}
		for (let part = 0; part < (facts.numParts[subgroup] ?? 0); part++) {
			const gradient = content("gradient", subgroup, "sum", part);
			if (normed.has(gradient)) continue;
			const message = `the gradient norm leaves ${gradient} out`;
			problems.push({ kind: "incomplete", tasks: [tasks[norm]?.id ?? "norm"], message, mend: "let it read that too" });
		}
	}
	return problems;
}

/** Every layer goes forward once a micro-step, and backward in as many pieces as buckets cut it into. */
export function countPasses({ tasks, configuration }: Schedule, { buckets }: ContentFacts): Problem[] {
	const counts = new Map<string, number>();
	for (const { kind, microStep, layer } of tasks) {
		if (kind !== "forward" && kind !== "backward") continue;
		const key = `${kind}[${microStep}.${layer}]`;
		counts.set(key, (counts.get(key) ?? 0) + 1);
	}
	const pieces = new Map<number, number>();
	for (const { unit } of buckets.flatMap((bucket) => bucket.pieces)) {
		pieces.set(unit.layer, (pieces.get(unit.layer) ?? 0) + 1);
	}
	const problems: Problem[] = [];
	for (let microStep = 0; microStep < configuration.gradientAccumulation; microStep++) {
		for (const [layer, numPieces] of pieces) {
			for (const [kind, expected] of [["forward", 1] as const, ["backward", numPieces] as const]) {
				const key = `${kind}[${microStep}.${layer}]`;
				const found = counts.get(key) ?? 0;
				if (found === expected) continue;
				const message = `layer ${layer} has ${found} ${kind} tasks in micro-step ${microStep}, not ${expected}`;
				problems.push({ kind: "incomplete", tasks: [key], message, mend: `plan ${key} as the configuration says` });
			}
		}
	}
	return problems;
}
