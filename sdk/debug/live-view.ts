// A picture of something that is stepped, drawn again in its place while it moves, with buttons to move it. Redrawing
// replaces the output by its id, so every front end follows; the buttons come over comms. Outside a notebook, and in
// a saved one, it is the picture of a moment.

import { randomUUID } from "node:crypto";
import { type ViewAction, viewActions, viewPage, viewTarget } from "./live-page.js";
import { displayIdSymbol, type Notebook, notebook } from "./notebook.js";

/** Longest rate of redrawing while something moves, in milliseconds; a button's effect is drawn at once. */
const everyMs = 120;

/** A picture. */
export interface Drawing {
	/** HTML or SVG. */
	html: string;
	/** The same for front ends without pictures. */
	text: string;
	/** Where it stands, in a line. */
	status: string;
}

/** Something to look at while it is stepped. */
export interface LiveSubject {
	/** True while it computes and cannot be looked at. */
	readonly busy: boolean;
	draw(): Drawing;
	/** What the buttons do. */
	readonly actions: Readonly<Record<ViewAction, () => unknown>>;
}

const views = new Map<string, LiveView>();
let listening: Notebook | undefined;

/**
 * A live picture. Show it as the last expression of a cell or with `display`; it follows from then on.
 *
 * @example
 * ```ts
 * import { hardware, schedules } from "octavo";
 * const schedule = schedules.zeroOffloadAsync(schedules.publishedConfiguration("7B"));
 * const iteration = hardware.simulateIteration(schedule, hardware.profileByName("h100-4x"));
 * const view = iteration.view();      // in a notebook: a timeline with buttons
 * iteration.stepSync();               // which moves with this
 * view.close();
 * ```
 */
export class LiveView {
	/** Name of its outputs. */
	readonly displayId: string = `octavo-view-${randomUUID()}`;
	readonly #subject: LiveSubject;
	readonly #forget: () => void;
	#last: Drawing = { html: "", text: "", status: "" };
	#note = "";
	#shown = false;
	#acting = false;
	#closed = false;
	#redrawn = 0;
	#sending = false;
	#again = false;
	#timer: NodeJS.Timeout | undefined;

	/**
	 * Made by `view()` of a session or an iteration.
	 *
	 * @param forget called when it closes
	 */
	constructor(subject: LiveSubject, forget: () => void) {
		this.#subject = subject;
		this.#forget = forget;
		views.set(this.displayId, this);
		listen();
	}

	/** Says that the subject has moved: it is drawn again soon. */
	changed(): void {
		if (!this.#shown || this.#closed || this.#timer) return;
		const wait = everyMs - (performance.now() - this.#redrawn);
		if (wait <= 0) void this.redraw();
		else {
			this.#timer = setTimeout(() => void this.redraw(), wait);
			this.#timer.unref();
		}
	}

	/** Draws it again now; settles when that has been sent. Without a notebook: nothing. */
	async redraw(): Promise<void> {
		clearTimeout(this.#timer);
		this.#timer = undefined;
		if (!this.#shown) return;
		if (this.#sending) {
			this.#again = true;
			return;
		}
		this.#sending = true;
		try {
			do {
				this.#again = false;
				this.#redrawn = performance.now();
				await notebook()?.display(this, { displayId: this.displayId, update: true });
			} while (this.#again);
		} finally {
			this.#sending = false;
		}
	}

	/** Ends following; the last picture stays, its buttons do nothing more. */
	close(): void {
		if (this.#closed) return;
		void this.redraw();
		this.#closed = true;
		views.delete(this.displayId);
		this.#forget();
	}

	/** Does what a button asks for, and draws what came of it. Anything else is ignored. */
	async act(action: unknown): Promise<void> {
		if (typeof action !== "string" || !Object.hasOwn(viewActions, action)) return;
		if (this.#acting || this.#closed) return;
		this.#acting = true;
		this.#note = "";
		try {
			await this.#subject.actions[action as ViewAction]();
		} catch (error) {
			this.#note = String((error as Error)?.message ?? error);
		} finally {
			this.#acting = false;
			await this.redraw();
		}
	}

	/** Output that this replaces later; see `displayIdSymbol`. */
	get [displayIdSymbol](): string {
		return this.displayId;
	}

	/** The picture, and its buttons. */
	[Symbol.for("Jupyter.display")](): Record<string, string> {
		this.#shown = true;
		if (!this.#subject.busy) this.#last = this.#subject.draw();
		const { html, text, status } = this.#last;
		const line = this.#note === "" ? status : `${status} — ${this.#note}`;
		return { "text/plain": `${text}\n${line}`, "text/html": viewPage(this.displayId, html, line) };
	}
}

/** Takes the pages' comms, once for each notebook. */
function listen(): void {
	const here = notebook();
	if (!here || here === listening) return;
	listening = here;
	here.comms.onOpen(viewTarget, (comm, { data }) => {
		const viewId = (data as { view?: unknown } | null)?.view;
		const known = typeof viewId === "string" && views.has(viewId);
		if (!known) {
			comm.close();
			return;
		}
		comm.onMessage(({ data: asked }) => {
			const view = views.get(viewId);
			if (!view) comm.close();
			return view?.act((asked as { action?: unknown } | null)?.action);
		});
	});
}

/** The open views of one subject. */
export class LiveViews {
	readonly #open = new Set<LiveView>();

	/** Opens a view. */
	open(subject: LiveSubject): LiveView {
		const view: LiveView = new LiveView(subject, () => this.#open.delete(view));
		this.#open.add(view);
		return view;
	}

	/** Says that the subject has moved. */
	changed(): void {
		for (const view of this.#open) view.changed();
	}

	/** Closes all. */
	close(): void {
		for (const view of [...this.#open]) view.close();
	}
}
