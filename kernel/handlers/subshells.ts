// Requests that make, end and list subshells (JEP 91): lines of their own for requests, which are answered while the cell of
// another shell awaits. All run in the one worker, and see the same variables.

import type { Handler, Router } from "../protocol/router.js";

/**
 * Makes the handlers.
 *
 * @param ended told of a subshell that is no more
 */
export function subshellHandlers(router: () => Router, ended: (id: string) => void): [string, Handler][] {
	return [
		["create_subshell_request", () => ({ content: { status: "ok", subshell_id: router().createSubshell() } })],
		[
			"delete_subshell_request",
			({ content: { subshell_id } }) => {
				router().deleteSubshell(subshell_id);
				ended(subshell_id as string);
				return { content: { status: "ok" } };
			},
		],
		["list_subshell_request", () => ({ content: { status: "ok", subshell_id: router().subshells } })],
	];
}
