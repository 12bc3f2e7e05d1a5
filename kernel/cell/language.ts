// What the language service says, in the words of Jupyter's completion and inspection replies.

import type { CompleteResult, InspectResult } from "./protocol.js";

interface DisplayPart {
	text: string;
}

/** The part of TypeScript's quick info that is shown. */
export interface QuickInfo {
	displayParts?: DisplayPart[];
	documentation?: DisplayPart[];
	tags?: { name: string; text?: DisplayPart[] }[];
}

/** tslab's completions, with TypeScript's own behind them. */
export interface TslabCompletions {
	start: number;
	end: number;
	candidates: string[];
	original?: { entries: { name: string; kind: string }[] };
}

/** Completions beyond this number help nobody, and cost time in every front end. */
const maxMatches = 500;

/** Words of front ends for TypeScript's kinds. */
const kinds: Record<string, string> = {
	var: "instance",
	let: "instance",
	const: "instance",
	"local var": "instance",
	parameter: "param",
	"local function": "function",
	getter: "property",
	setter: "property",
	alias: "module",
	"primitive type": "keyword",
};

/** Makes a completion result; what was typed is not offered when it stands for itself alone. */
export function describeCompletions(info: TslabCompletions, code: string, position: number): CompleteResult {
	const kindOf = new Map(info.original?.entries.map((entry) => [entry.name, entry.kind]));
	const replaced = code.slice(info.start, position);
	const starting = info.candidates.filter((name) => name.startsWith(replaced));
	const chosen = starting.length > 0 ? starting : info.candidates;
	return {
		start: info.start,
		end: Math.max(info.end, position),
		matches: chosen.slice(0, maxMatches).map((text) => {
			const kind = kindOf.get(text) ?? "";
			return { text, type: kinds[kind] ?? kind };
		}),
	};
}

/** Makes an inspection result: the signature, and the documentation as Markdown. */
export function describeInfo(info: QuickInfo | undefined): InspectResult {
	const join = (parts: readonly DisplayPart[] | undefined) => (parts ?? []).map((part) => part.text).join("");
	const signature = join(info?.displayParts);
	if (!info || signature === "") return {};
	const tags = (info.tags ?? []).map((tag) => `*@${tag.name}* ${join(tag.text)}`.trim());
	const documentation = [join(info.documentation), ...tags].filter((text) => text !== "").join("\n\n");
	return documentation === "" ? { signature } : { signature, documentation };
}
