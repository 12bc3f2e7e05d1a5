// The requests of the Debug Adapter Protocol that this kernel answers, and Jupyter's own beside them, one entry a
// command. Each gives the body of its response, or throws.

import { basename } from "node:path";
import type { Page, Variable } from "../cell/debug-values.js";
import type { Bundle } from "../cell/protocol.js";
import { type Arguments, breakpointsOf, countOf, optionalCount, pathOf, textOf, textsOf } from "./arguments.js";
import type { ExceptionFilter } from "./exception-filters.js";
import { endable } from "./expression.js";
import { failure } from "./inspector.js";
import { type DebugSession, threadId } from "./session.js";
import { hashSeed, pathSuffix } from "./sources.js";
import type { Motion } from "./steps.js";
import { callTools, describe, type ExceptionDetails, exceptionText, type RemoteObject } from "./stop.js";

/** Longest that an expression of the user's may run, in milliseconds. */
const evaluateMs = 10_000;

/** Answers one command. @param departures how often clients had left when it came */
export type Command = (session: DebugSession, args: Arguments, departures: number) => Promise<object> | object;

const exceptionFilters = [
	{ filter: "all", label: "All exceptions", default: false },
	{ filter: "uncaught", label: "Uncaught exceptions", default: false },
];

const capabilities = {
	supportsConfigurationDoneRequest: true,
	supportsConditionalBreakpoints: true,
	supportsHitConditionalBreakpoints: true,
	supportsLogPoints: true,
	supportsEvaluateForHovers: true,
	supportsExceptionInfoRequest: true,
	supportsModulesRequest: true,
	supportsTerminateRequest: true,
	supportTerminateDebuggee: false,
	exceptionBreakpointFilters: exceptionFilters,
};

/** Makes the command that moves a stopped thread. */
function moving(motion: Motion): Command {
	return async (session) => {
		await session.go(motion);
		return motion === "resume" ? { allThreadsContinued: true } : {};
	};
}

/** Evaluates in a frame, or among the notebook's variables where none is named. */
async function evaluated(session: DebugSession, args: Arguments, expression: string): Promise<RemoteObject> {
	const frameId = optionalCount(args, "frameId");
	if (frameId !== undefined && frameId > 0) return session.stopped.evaluate(frameId, expression, evaluateMs);
	await callTools(session.inspector, "lend", []);
	try {
		const { result, exceptionDetails } = await session.inspector.post<{
			result: RemoteObject;
			exceptionDetails?: ExceptionDetails;
		}>("Runtime.evaluate", { expression: endable(expression), silent: true, timeout: evaluateMs });
		if (exceptionDetails) throw failure(exceptionText(exceptionDetails));
		return result;
	} finally {
		await callTools(session.inspector, "takeBack", []);
	}
}

async function children(session: DebugSession, reference: number, page: Page): Promise<Variable[]> {
	const found = await callTools<Variable[] | undefined>(session.inspector, "variables", [
		{ value: reference },
		{ value: page },
	]);
	if (!found) throw failure(`Expected a variablesReference of the present stop but received ${reference}`);
	return found;
}

/** Every command by its name. */
export const commands: ReadonlyMap<string, Command> = new Map<string, Command>([
	["initialize", () => capabilities],
	[
		"attach",
		async (session, _args, departures) => {
			await session.attach(departures);
			return {};
		},
	],
	["configurationDone", () => ({})],
	[
		"debugInfo",
		({ attached, stop, sources, breakpoints }) => ({
			isStarted: attached,
			hashMethod: "Murmur2",
			hashSeed,
			tmpFilePrefix: sources.prefix,
			tmpFileSuffix: pathSuffix,
			breakpoints: breakpoints.list(),
			stoppedThreads: stop ? [threadId] : [],
			richRendering: true,
			exceptionPaths: exceptionFilters.map(({ filter }) => filter),
			copyToGlobals: true,
		}),
	],
	["dumpCell", ({ sources }, args) => ({ sourcePath: sources.dump(textOf(args, "code")) })],
	[
		"setBreakpoints",
		async ({ breakpoints, attached }, args) => ({
			breakpoints: await breakpoints.set(pathOf(args), breakpointsOf(args), attached),
		}),
	],
	[
		"setExceptionBreakpoints",
		async (session, args) => {
			const filters = textsOf(args, "filters");
			const unknown = filters.find((name) => !exceptionFilters.some(({ filter }) => filter === name));
			if (unknown !== undefined) throw failure(`Expected the filters all or uncaught but received ${unknown}`);
			await session.setFilters(filters as ExceptionFilter[]);
			return { breakpoints: filters.map(() => ({ verified: true })) };
		},
	],
	[
		"source",
		({ sources }, args) => {
			const path = pathOf(args);
			const content = sources.text(path);
			if (content === undefined) throw failure(`Expected the path of a cell or a file but received ${path}`);
			return { content, mimeType: "text/typescript" };
		},
	],
	["threads", () => ({ threads: [{ id: threadId, name: "cells" }] })],
	[
		"stackTrace",
		(session, args) => {
			// A front end asks at each stop, and may come too late.
			const frames = session.attached && !session.stop ? [] : session.stopped.frames;
			const start = optionalCount(args, "startFrame") ?? 0;
			const levels = optionalCount(args, "levels") || frames.length;
			return { stackFrames: frames.slice(start, start + levels), totalFrames: frames.length };
		},
	],
	["scopes", async ({ stopped }, args) => ({ scopes: await stopped.scopes(countOf(args, "frameId")) })],
	[
		"variables",
		async (session, args) => {
			const page: Page = { start: optionalCount(args, "start") ?? 0, count: optionalCount(args, "count") ?? 0 };
			if (args.filter === "indexed" || args.filter === "named") page.filter = args.filter;
			const reference = countOf(args, "variablesReference", 1);
			return { variables: await session.look(() => children(session, reference, page)) };
		},
	],
	[
		"inspectVariables",
		(session) =>
			session.look(async () => {
				if (!session.stop) await callTools(session.inspector, "release", []);
				const notebook = await callTools<number>(session.inspector, "notebook", []);
				return { variables: await children(session, notebook, {}) };
			}),
	],
	[
		"richInspectVariables",
		(session, args) => {
			const name = textOf(args, "variableName");
			return session.look(async () => {
				const value = await evaluated(session, args, name);
				const stopped = session.stop !== undefined;
				return callTools<Bundle>(session.inspector, stopped ? "show" : "showLater", [value], !stopped);
			});
		},
	],
	[
		"copyToGlobals",
		async (session, args) => {
			const name = textOf(args, "dstVariableName");
			const from = { frameId: countOf(args, "srcFrameId", 1) };
			const value = await evaluated(session, from, textOf(args, "srcVariableName"));
			const copied = await callTools<boolean>(session.inspector, "copy", [{ value: name }, value]);
			if (!copied) throw failure(`Expected the name of a variable for dstVariableName but received ${name}`);
			return {};
		},
	],
	[
		"evaluate",
		async (session, args) => {
			const expression = textOf(args, "expression");
			if (!session.attached) throw failure("Expected an attached debugger; send attach first");
			const { value, ...rest } = await describe(
				session.inspector,
				await evaluated(session, args, expression),
				expression,
			);
			return { result: value, ...rest };
		},
	],
	[
		"exceptionInfo",
		({ stopped: { event } }) => {
			const [title = "", ...stack] = (event.data?.description ?? "").split("\n");
			if (event.reason !== "exception" && event.reason !== "promiseRejection") {
				throw failure("Expected a stop at an exception");
			}
			const exceptionId = /^([\w$.]+)(:|$)/.exec(title)?.[1] ?? "Error";
			return { exceptionId, description: title, breakMode: "always", details: { stackTrace: stack.join("\n") } };
		},
	],
	[
		"modules",
		({ sources }, args) => {
			const all = sources.files().map(({ scriptId, path }) => ({ id: scriptId, name: basename(path), path }));
			const start = optionalCount(args, "startModule") ?? 0;
			const count = optionalCount(args, "moduleCount") || all.length;
			return { modules: all.slice(start, start + count), totalModules: all.length };
		},
	],
	["continue", moving("resume")],
	["next", moving("stepOver")],
	["stepIn", moving("stepInto")],
	["stepOut", moving("stepOut")],
	[
		"pause",
		async (session) => {
			await session.pause();
			return {};
		},
	],
	[
		"disconnect",
		async (session) => {
			await session.detach();
			return {};
		},
	],
	[
		"terminate",
		async (session) => {
			if (session.stop) session.interrupt();
			await session.detach();
			return {};
		},
	],
]);
