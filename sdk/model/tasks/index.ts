// Generated tasks with exact answers, to measure what eviction forgets.

export {
	type RecallOptions,
	type RecallPrompt,
	type RecallQuery,
	type RecallRecord,
	recall,
	recallTokens,
} from "./recall.js";
