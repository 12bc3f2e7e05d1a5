// Progress of a run: a bar on a terminal, one line a cell elsewhere, such as in a CI's output.

import { Presets, SingleBar } from "cli-progress";
import type { Cell } from "./notebook.js";
import type { RunProgress } from "./run-notebook.js";

/** A progress display that must be stopped before anything else is printed. */
export interface ShownProgress extends RunProgress {
	stop(): void;
}

/** Gives the display that suits the stream. */
export function showProgress(stream: NodeJS.WriteStream): ShownProgress {
	return stream.isTTY ? bar(stream) : lines(stream);
}

function bar(stream: NodeJS.WriteStream): ShownProgress {
	const shown = new SingleBar(
		{
			stream,
			format: "{bar} {value}/{total} cells · {seconds} s · {title}",
			hideCursor: true,
			clearOnComplete: true,
			gracefulExit: false,
			barsize: 24,
			linewrap: false,
		},
		Presets.shades_classic,
	);
	const started = performance.now();
	const seconds = () => ((performance.now() - started) / 1000).toFixed(1);
	shown.start(1, 0, { title: "starting the kernel", seconds: seconds() });
	const timer = setInterval(() => shown.update({ seconds: seconds() }), 200);
	timer.unref();
	return {
		cellStarts(index, numCells, cell) {
			shown.setTotal(numCells);
			shown.update(index, { title: titleOf(cell), seconds: seconds() });
		},
		cellEnded(index) {
			shown.update(index + 1, { seconds: seconds() });
		},
		stop() {
			clearInterval(timer);
			shown.stop();
		},
	};
}

function lines(stream: NodeJS.WriteStream): ShownProgress {
	let title = "";
	return {
		kernelReady(name, startMs) {
			stream.write(`kernel ${name} ready after ${(startMs / 1000).toFixed(2)} s\n`);
		},
		cellStarts(_index, _numCells, cell) {
			title = titleOf(cell);
		},
		cellEnded(index, numCells, durationMs) {
			const count = `${String(index + 1).padStart(String(numCells).length)}/${numCells}`;
			stream.write(`cell ${count} ${(durationMs / 1000).toFixed(2).padStart(7)} s  ${title}\n`);
		},
		stop() {
			// Whole lines need no clearing.
		},
	};
}

function titleOf(cell: Cell): string {
	const first = cell.source.split("\n").find((line) => line.trim() !== "") ?? "";
	const text = first.trim().replace(/^\/\/\s*/, "");
	return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}
