// Comms: this kernel registers no targets, so it closes what a front end opens, as the protocol asks, and lists none.

import type { Outlet } from "../protocol/outlet.js";
import type { Handler } from "../protocol/router.js";

/** Makes the handlers of comm messages. */
export function commHandlers(outlet: Outlet): [string, Handler][] {
	return [
		["comm_info_request", () => ({ content: { status: "ok", comms: {} } })],
		[
			"comm_open",
			(request) => {
				outlet.publish("comm_close", { comm_id: request.content.comm_id ?? "", data: {} }, request);
				return undefined;
			},
		],
		["comm_msg", () => undefined],
		["comm_close", () => undefined],
	];
}
