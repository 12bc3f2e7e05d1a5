// Subshells as JupyterLab's own client uses them, through the embedded server: comms go to one by themselves, and work while
// cells wait behind one that awaits.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Kernel, KernelManager, type KernelMessage, ServerConnection } from "@jupyterlab/services";
import { WebSocket } from "ws";
import { startTestServer, type TestServer } from "./helpers/server.js";

let it: TestServer;
let manager: KernelManager;
let kernel: Kernel.IKernelConnection;

before(async () => {
	it = await startTestServer();
	const { origin } = new URL(it.server.url);
	const serverSettings = ServerConnection.makeSettings({
		baseUrl: `${origin}/`,
		wsUrl: origin.replace("http", "ws"),
		token: it.server.token,
		WebSocket: WebSocket as unknown as typeof globalThis.WebSocket,
	});
	manager = new KernelManager({ serverSettings });
	await manager.ready;
	kernel = await manager.startNew({ name: "octavo" });
});

after(async () => {
	await kernel.shutdown();
	manager.dispose();
	await it.close();
});

test("a comm of JupyterLab's client is answered while a cell awaits and others wait behind it", async () => {
	await kernel.info;
	assert.equal(kernel.supportsSubshells, true);
	const declared =
		"let open: () => void = () => {}; let pressed = 0;" +
		"comms.onOpen('buttons', (comm) => { comm.onMessage(({ data }) => { pressed += Number(data); comm.send(pressed); }); });";
	await kernel.requestExecute({ code: declared }).done;
	const awaiting = kernel.requestExecute({ code: "await new Promise<void>((done) => { open = done; }); pressed" });
	const behind = kernel.requestExecute({ code: "'behind'" });
	const ended: string[] = [];
	void awaiting.done.then(() => ended.push("awaiting"));
	void behind.done.then(() => ended.push("behind"));
	const comm = kernel.createComm("buttons") as Kernel.IComm & { subshellStarted: Promise<void>; subshellId: string };
	const heard = new Promise<unknown>((resolve) => {
		comm.onMsg = ({ content }: KernelMessage.ICommMsgMsg) => resolve(content.data);
	});
	await comm.subshellStarted;
	assert.ok(comm.subshellId, "the client has sent the comm to a subshell");
	comm.open({});
	comm.send(5);
	assert.equal(await heard, 5);
	assert.deepEqual(ended, []);
	const created = await kernel.requestCreateSubshell({}).done;
	const console = kernel.clone();
	console.subshellId = created.content.subshell_id;
	const reply = await console.requestExecute({ code: "open(); 1" }).done;
	assert.equal(reply.content.status, "ok");
	console.dispose();
	await behind.done;
	assert.deepEqual(ended, ["awaiting", "behind"]);
	// The console took its own along.
	const listed = await kernel.requestListSubshell({}).done;
	assert.deepEqual(listed.content.subshell_id, [comm.subshellId]);
});
