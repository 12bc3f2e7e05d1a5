// Keeps Node.js from ending the process after a termination. Where hooks are on, as from the first AsyncLocalStorage of a cell,
// a package or the kernel, Node.js 20 checks that its stack of asynchronous callbacks is empty, on which terminated code
// leaves its own. No flag turns all of its checks off, and each hook that is added turns them on: so again and again here.

interface AsyncWrap {
	async_hook_fields: Uint32Array;
	constants: { kTotals: number; kCheck: number };
}

const wrap = asyncWrap();

/** Turns the checks off; two writes to memory. */
export const skipAsyncHookChecks: () => void = wrap
	? () => {
			wrap.async_hook_fields[wrap.constants.kTotals] = 0;
			wrap.async_hook_fields[wrap.constants.kCheck] = 0;
		}
	: () => {};

/** The numbers of Node.js that the checks look at; undefined where it does not give them. */
function asyncWrap(): AsyncWrap | undefined {
	const { binding } = process as unknown as { binding?(name: string): AsyncWrap };
	const { noDeprecation = false } = process;
	try {
		// Its warning is meant for those who could do without.
		process.noDeprecation = true;
		const found = binding?.call(process, "async_wrap");
		const isKnown = found?.async_hook_fields instanceof Uint32Array && found.constants.kTotals >= 0;
		return isKnown && found.constants.kCheck >= 0 ? found : undefined;
	} catch {
		return undefined;
	} finally {
		process.noDeprecation = noDeprecation;
	}
}
