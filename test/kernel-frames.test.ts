// Signatures of frames by themselves: more of them than a test would send over sockets.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameCodec } from "../kernel/wire/frames.js";

test("a message that is played again is refused after very many others too", () => {
	const sender = new FrameCodec("key");
	const receiver = new FrameCodec("key");
	const header = { msg_id: "first", msg_type: "x", session: "s", username: "", date: "", version: "5.3" };
	const make = (msg_id: string) =>
		sender.encode({
			identities: [],
			header: { ...header, msg_id },
			parent_header: {},
			metadata: {},
			content: {},
			buffers: [],
		});
	const first = make("first");
	assert.equal(receiver.decode(first).header.msg_id, "first");
	// As many as are remembered at once.
	for (let number = 0; number < 70_000; number++) receiver.decode(make(String(number)));
	assert.throws(() => receiver.decode(first), { code: "ERR_OCTAVO_MESSAGE_SIGNATURE", message: /played again/ });
});
