// Which resource does what, when: the Gantt chart of an iteration. Streams of one resource that overlap are stacked in
// lanes of its row, so that no bar hides another.

import type { IterationTrace } from "../trace/iteration-trace.js";
import type { Figure, PlotlyTrace } from "./figure.js";
import { checkRows, describeIteration, groupOf, resourceName, resourceNames, taskGroups } from "./iteration-rows.js";
import { checkNames, fail } from "./options.js";
import { finish, round } from "./theme.js";

/** Options of `chart.taskTimeline`. */
export interface TaskTimelineOptions {
	/** One phase: `forward`, `backward` or `update`. Default: all. */
	phase?: string;
	/** Part of the iteration to show, in seconds. Default: all that is drawn. */
	range?: readonly [number, number];
}

interface Bar {
	id: string;
	stream: string;
	group: keyof typeof taskGroups;
	row: string;
	start: number;
	end: number;
	bytes: number;
}

/**
 * Draws each task as a bar from its start to its end, by resource, coloured by what it does.
 *
 * @throws {OctavoError} ERR_OCTAVO_CHART for a trace or phase without tasks; ERR_OCTAVO_OPTION for an unknown option
 */
export function taskTimeline(trace: IterationTrace, options: TaskTimelineOptions = {}): Figure {
	checkNames("taskTimeline", options, ["phase", "range"]);
	checkRows(trace, "tasks");
	const bars = readBars(trace, options.phase);
	if (bars.length === 0) fail("a phase with tasks: forward, backward or update", String(options.phase));
	const lanes = placeInLanes(bars);
	const data = (Object.keys(taskGroups) as Bar["group"][]).flatMap((group): PlotlyTrace[] => {
		const own = bars.filter((bar) => bar.group === group);
		if (own.length === 0) return [];
		return [
			{
				type: "bar",
				orientation: "h",
				name: group,
				base: own.map((bar) => round(bar.start)),
				x: own.map((bar) => round(bar.end - bar.start)),
				y: own.map((bar) => lanes.of(bar)),
				width: 0.86,
				marker: { color: taskGroups[group].color, line: { width: 0 } },
				text: own.map(describeBar),
				textposition: "none",
				hovertemplate: `%{text}<extra>${group}</extra>`,
			},
		];
	});
	const what = options.phase ? `the ${options.phase}` : "an iteration";
	return finish(data, {
		title: `Tasks of ${what} by resource: ${trace.metadata.planner}`,
		caption: `Each bar is a task from its start to its end; waiting for a copy engine is part of it. ${describeIteration(trace)}`,
		plotHeight: Math.max(150, 26 * lanes.count),
		layout: {
			barmode: "overlay",
			xaxis: { title: { text: "time, s", standoff: 6 }, ...(options.range ? { range: [...options.range] } : {}) },
			yaxis: {
				tickvals: lanes.ticks.map(({ at }) => at),
				ticktext: lanes.ticks.map(({ row }) => resourceName(row)),
				range: [lanes.count - 0.5, -0.5],
				showgrid: false,
				automargin: true,
			},
			shapes: lanes.borders.map((at) => ({
				type: "line",
				xref: "paper",
				x0: 0,
				x1: 1,
				y0: at,
				y1: at,
				line: { color: "rgba(128,128,128,0.35)", width: 1 },
			})),
		},
	});
}

function readBars(trace: IterationTrace, phase: string | undefined): Bar[] {
	const columns = trace.columns("tasks");
	const [starts, ends] = [columns.start_us as number[], columns.end_us as number[]];
	return (columns.task_id as string[]).flatMap((id, i): Bar[] => {
		const group = groupOf(columns.kind![i] as string);
		if (!group || ends[i]! <= starts[i]! || (phase !== undefined && columns.phase![i] !== phase)) return [];
		return [
			{
				id,
				stream: columns.stream![i] as string,
				group,
				row: columns.resource![i] as string,
				start: starts[i]! / 1e6,
				end: ends[i]! / 1e6,
				bytes: columns.size_bytes![i] as number,
			},
		];
	});
}

function describeBar({ id, stream, start, end, bytes }: Bar): string {
	const moved = bytes > 0 ? `, ${(bytes / 1e9).toFixed(2)} GB` : "";
	return `${id} on stream ${stream}<br>${start.toFixed(3)} to ${end.toFixed(3)} s, ${((end - start) * 1e3).toFixed(1)} ms${moved}`;
}

/** One lane a stream, grouped by resource. */
function placeInLanes(bars: readonly Bar[]) {
	const known = Object.keys(resourceNames);
	const place = (row: string): number => (known.includes(row) ? known.indexOf(row) : known.length);
	const rows = [...new Set(bars.map((bar) => bar.row))].sort((a, b) => place(a) - place(b));
	const index = new Map<string, number>();
	const ticks: { at: number; row: string }[] = [];
	const borders: number[] = [];
	for (const row of rows) {
		const streams = [...new Set(bars.filter((bar) => bar.row === row).map((bar) => bar.stream))];
		if (index.size > 0) borders.push(index.size - 0.5);
		ticks.push({ at: index.size + (streams.length - 1) / 2, row });
		for (const stream of streams) index.set(`${row} ${stream}`, index.size);
	}
	return { of: (bar: Bar): number => index.get(`${bar.row} ${bar.stream}`)!, count: index.size, ticks, borders };
}
