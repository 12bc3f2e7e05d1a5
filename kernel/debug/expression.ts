// What a client evaluates, wrapped so that an interrupt can end it: a direct eval within an arrow function sees the frame's
// variables, its `this` and its arguments as the inspector's own evaluation does.

/** Gives the JavaScript to evaluate in place of an expression. */
export function endable(expression: string): string {
	return `__octavo__.debug.evaluate(() => eval(${JSON.stringify(expression)}))`;
}
