// Values that show themselves as given text: what a cell passes to `display` for a heading or a hand-made table.

const displaySymbol = Symbol.for("Jupyter.display");

/** A value with the display symbol, which front ends show by its MIME types. */
export interface Displayable {
	[displaySymbol: symbol]: () => Record<string, unknown>;
}

function displayable(data: Record<string, unknown>): Displayable {
	return { [displaySymbol]: () => data };
}

/** Shows HTML. It is not cleaned: scripts in it run. */
export function html(text: string): Displayable {
	return displayable({ "text/plain": text, "text/html": text });
}

/** Shows Markdown, rendered by the front end. */
export function markdown(text: string): Displayable {
	return displayable({ "text/plain": text, "text/markdown": text });
}
