// The wire: connection files, signatures, malformed and repeated messages. Nothing of it may run a cell or end the kernel.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import { checkConnection } from "../kernel/wire/connection.js";
import { FrameCodec } from "../kernel/wire/frames.js";
import { type Exchange, KernelClient } from "./helpers/kernel-client.js";

const good = {
	transport: "tcp",
	ip: "127.0.0.1",
	shell_port: 1001,
	control_port: 1002,
	iopub_port: 1003,
	stdin_port: 1004,
	hb_port: 1005,
	key: "secret",
	signature_scheme: "hmac-sha256",
};

test("a connection file's wrong field is named", () => {
	assert.equal(checkConnection(good).shell_port, 1001);
	const wrong: [string, unknown][] = [
		["ip", "0.0.0.0"],
		["ip", "10.0.0.1"],
		["ip", "example.org"],
		["ip", ""],
		["ip", 127],
		["transport", "udp"],
		["shell_port", 0],
		["iopub_port", 65536],
		["stdin_port", "1004"],
		["hb_port", undefined],
		["key", 5],
		["signature_scheme", "hmac-md5"],
	];
	for (const [field, value] of wrong) {
		assert.throws(() => checkConnection({ ...good, [field]: value }), {
			code: "ERR_OCTAVO_CONNECTION_FILE",
			message: new RegExp(`for ${field} but received`),
		});
	}
	for (const value of [null, 5, "x"])
		assert.throws(() => checkConnection(value), { code: "ERR_OCTAVO_CONNECTION_FILE" });
	assert.equal(checkConnection({ ...good, ip: "10.0.0.1" }, true).ip, "10.0.0.1");
});

test("the codec signs as the protocol says", () => {
	const parts = ['{"msg_id":"1"}', "{}", "{}", '{"code":"é"}'];
	const expected = createHmac("sha256", "secret").update(parts.join("")).digest("hex");
	const [header, parent_header, metadata, content] = parts.map((part) => JSON.parse(part));
	const message = {
		identities: [Buffer.from("id")],
		header,
		parent_header,
		metadata,
		content,
		buffers: [Buffer.from("b")],
	};
	const frames = new FrameCodec("secret").encode(message).map(String);
	assert.deepEqual(frames, ["id", "<IDS|MSG>", expected, ...parts, "b"]);
});

let kernel: KernelClient;

before(async () => {
	kernel = await KernelClient.start();
});

after(() => kernel.stop());

const result = ({ iopub }: Exchange) => iopub.find(({ type }) => type === "execute_result")?.content.data["text/plain"];
const addOne = { code: "(globalThis as any).runs = ((globalThis as any).runs ?? 0) + 1" };

/** Sends raw frames, waits until the kernel noted that it dropped them, and checks that it ran nothing. */
async function dropped(frames: (Buffer | string)[], note: RegExp): Promise<void> {
	const before = kernel.notes.length;
	const runs = result(await kernel.execute("(globalThis as any).runs ?? 0"));
	await kernel.shell.send(frames);
	const noted = () => kernel.notes.slice(before);
	await kernel.until(() => note.test(noted())).catch(() => assert.match(noted(), note));
	assert.equal(result(await kernel.execute("(globalThis as any).runs ?? 0")), runs);
}

test("a message with a forged signature is dropped", async () => {
	await dropped(kernel.frames("execute_request", addOne, "wrong key").frames, /signed with this kernel's key/);
});

test("a message with an empty, short or changed signature is dropped", async () => {
	const { frames } = kernel.frames("execute_request", addOne);
	const changed = Buffer.from(frames[1]!);
	changed[10] = changed[10] === 0x30 ? 0x31 : 0x30;
	for (const signature of [Buffer.alloc(0), frames[1]!.subarray(0, 32), changed]) {
		await dropped(frames.with(1, signature), /signed with this kernel's key/);
	}
});

test("a message whose content was changed after signing is dropped", async () => {
	const { frames } = kernel.frames("execute_request", { code: "0" });
	await dropped(frames.with(5, Buffer.from(JSON.stringify(addOne))), /signed with this kernel's key/);
});

test("a message that is played again is dropped", async () => {
	const { id, frames } = kernel.frames("execute_request", addOne);
	await kernel.shell.send(frames);
	assert.equal(result(await kernel.exchange(id)), "1");
	await dropped(frames, /played again/);
});

test("malformed frames are dropped, and the kernel goes on", async () => {
	await dropped(["nothing"], /delimiter/);
	await dropped([""], /delimiter/);
	await dropped(["<IDS|MSG>"], /four parts/);
	await dropped(["<IDS|MSG>", "", "{}"], /four parts/);
	const signed = (...parts: string[]) => ["<IDS|MSG>", kernel.sign(parts), ...parts];
	await dropped(signed("{", "{}", "{}", "{}"), /Expected JSON/);
	await dropped(signed("[]", "{}", "{}", "{}"), /JSON object/);
	await dropped(signed("null", "{}", "{}", "{}"), /JSON object/);
	await dropped(signed('{"msg_id":1}', "{}", "{}", "{}"), /header\.msg_id/);
	await dropped(signed('{"msg_id":"1","msg_type":"execute_request"}', "{}", "{}", "{}"), /header\.session/);
});

test("contents of the wrong shape do no harm", async () => {
	for (const type of [
		"execute_request",
		"complete_request",
		"inspect_request",
		"is_complete_request",
		"history_request",
	]) {
		for (const content of [
			{},
			{ code: 5, cursor_pos: "x" },
			{ code: null, user_expressions: 7, hist_access_type: [] },
		]) {
			assert.ok((await kernel.ask(type, content)).status, type);
		}
	}
});

test("a message of an unknown type gets busy and idle, and no reply", async () => {
	const id = kernel.send("no_such_request", {});
	const states = () => kernel.messages.filter(({ parentId }) => parentId === id);
	await kernel.until(() => states().length >= 2);
	await kernel.ask("kernel_info_request", {});
	assert.deepEqual(
		states().map(({ type, content }) => [type, content.execution_state]),
		[
			["status", "busy"],
			["status", "idle"],
		],
	);
});

test("an empty key means unsigned messages", async () => {
	const unsigned = await KernelClient.start({ key: "" });
	try {
		assert.equal(result(await unsigned.execute("1 + 1")), "2");
		assert.equal(result(await unsigned.execute("1 + 2")), "3");
	} finally {
		await unsigned.stop();
	}
});
