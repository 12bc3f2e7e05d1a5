// The built-in eviction policies, as one namespace: a line for each.

export { full } from "./full.js";
export { type PagedEvictionOptions, pagedEviction } from "./paged-eviction.js";
export type { Policy } from "./policy.js";
export { type RandomOptions, random } from "./random.js";
export { type StreamingLlmOptions, streamingLlm } from "./streaming-llm.js";
