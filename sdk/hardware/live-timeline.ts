// An iteration as a small timeline for its live view: a lane a resource, a bar a task; full where taken, faint where not
// yet, framed where it runs now. SVG, since it is sent again with every step.

import { escapeHtml } from "../debug/live-page.js";
import type { Drawing } from "../debug/live-view.js";
import type { TaskStep } from "./task-step.js";

/** Lanes from top to bottom, with a colour each. */
const lanes: Readonly<Record<string, string>> = {
	device: "#0072B2",
	h2d: "#009E73",
	d2h: "#D55E00",
	host: "#E69F00",
	collective: "#CC79A7",
};
const left = 78;
const width = 760;
const laneHeight = 26;
/** Bars narrower than this many pixels are left out where one stands already. */
const thinnest = 0.6;

/**
 * Draws an iteration.
 *
 * @param order all tasks in the order of their starts
 * @param numTaken how many of them have been taken
 */
export function drawTimeline(order: readonly TaskStep[], numTaken: number): Drawing {
	const end = order.reduce((latest, { endUs }) => Math.max(latest, endUs), 1);
	const names = [...new Set([...Object.keys(lanes), ...order.map(({ task }) => task.resource)])].filter((name) =>
		order.some(({ task }) => task.resource === name),
	);
	const last = order[numTaken - 1];
	const nowUs = last?.startUs ?? 0;
	const running = new Set(last ? [...last.running, last.task.id] : []);
	const at = (us: number) => Math.round((left + (us / end) * width) * 10) / 10;
	const height = names.length * laneHeight + 20;
	const parts = names.map((name, lane) => {
		const y = lane * laneHeight + 17;
		return `<text x="0" y="${y}" fill="currentColor">${escapeHtml(name)}</text>`;
	});
	const filledTo = new Map<string, number>();
	for (const { index, task, startUs, endUs } of order) {
		const lane = names.indexOf(task.resource);
		const taken = index < numTaken;
		const isRunning = taken && running.has(task.id);
		const [x, to] = [at(startUs), at(endUs)];
		const key = `${lane} ${taken}`;
		if (endUs <= startUs || (!isRunning && to - x < thinnest && (filledTo.get(key) ?? -1) > x - thinnest)) continue;
		filledTo.set(key, to);
		const fill = lanes[task.resource] ?? "#8C8C8C";
		const frame = isRunning ? ' stroke="currentColor" stroke-width="1.5"' : "";
		const ms = ((endUs - startUs) / 1e3).toFixed(1);
		parts.push(
			`<rect x="${x}" y="${lane * laneHeight + 4}" width="${Math.max(thinnest, Math.round((to - x) * 10) / 10)}" height="${laneHeight - 8}" fill="${fill}" opacity="${taken ? 1 : 0.25}"${frame}><title>${escapeHtml(task.id)}, ${ms} ms</title></rect>`,
		);
	}
	parts.push(
		`<line x1="${at(nowUs)}" x2="${at(nowUs)}" y1="0" y2="${height - 16}" stroke="currentColor"/>`,
		`<text x="${left}" y="${height - 3}" fill="currentColor" opacity=".7">0</text>`,
		`<text x="${left + width}" y="${height - 3}" fill="currentColor" opacity=".7" text-anchor="end">${(end / 1e6).toFixed(3)} s</text>`,
	);
	const total = left + width + 4;
	const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${total} ${height}" width="${total}" height="${height}" style="max-width:100%" font-size="11" font-family="sans-serif" role="img" aria-label="Tasks by resource over time">${parts.join("")}</svg>`;
	return { html: svg, text: progressLines(order, numTaken, names), status: statusLine(order.length, numTaken, last) };
}

function progressLines(order: readonly TaskStep[], numTaken: number, names: readonly string[]): string {
	return names
		.map((name) => {
			const own = order.filter(({ task }) => task.resource === name);
			return `${name}: ${own.filter(({ index }) => index < numTaken).length} of ${own.length} tasks`;
		})
		.join("\n");
}

function statusLine(numTasks: number, numTaken: number, last: TaskStep | undefined): string {
	if (!last) return `0 of ${numTasks} tasks taken`;
	const { task, startUs, deviceBytes, hostBytes, running } = last;
	const beside = running.length > 0 ? `, beside ${running.join(", ")}` : "";
	const memory = `${(deviceBytes / 1e9).toFixed(2)} GB on the device, ${(hostBytes / 1e9).toFixed(2)} GB on the host`;
	return `${numTaken} of ${numTasks} tasks taken; at ${(startUs / 1e3).toFixed(1)} ms ${task.id} begins${beside}; ${memory}`;
}
