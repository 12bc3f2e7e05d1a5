// Generated tasks with exact answers, to measure what eviction forgets.

export { type Answer, type Answerer, answer } from "./answer.js";
export {
	type FillerKind,
	type RecallPrompt,
	type RecallQuery,
	type RecallRecord,
	recallTokens,
} from "./context.js";
export { type LookupOptions, lookup } from "./lookup.js";
export { type NeedleOptions, needle } from "./needle.js";
export { type RecallOptions, recall } from "./recall.js";
