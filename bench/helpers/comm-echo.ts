// Buffers over a comm to a cell's handler and back, at a kernel that has comms.

import { randomUUID } from "node:crypto";
import type { KernelClient } from "../../test/helpers/kernel-client.js";

/** Size of the buffer, in bytes. */
export const echoBytes = 64 * 1024 * 1024;
/** Times that it is sent; the median counts. */
export const echoRounds = 15;

/** Cells that send back what comes over a comm to the target `echo`. */
export const echoCells = {
	typescript: `comms.onOpen("echo", (comm) => { comm.onMessage(({ buffers }) => comm.send(1, { buffers })); })`,
	python: `def opened(comm, message):
    comm.on_msg(lambda message: comm.send(1, buffers=message["buffers"]))
get_ipython().kernel.comm_manager.register_target("echo", opened)`,
};

/**
 * Sends a buffer to a cell and waits until it has come back, some times.
 *
 * @param cell one of {@link echoCells}
 * @returns both ways together in the median time, in 10⁶ bytes a second: twice {@link echoBytes} over that time
 */
export async function echoMegabytesPerSecond(kernel: KernelClient, cell: string): Promise<number> {
	const { reply } = await kernel.execute(cell);
	if (reply.status !== "ok") throw new Error(`The cell that echoes failed: ${reply.evalue}`);
	const comm_id = randomUUID();
	kernel.send("comm_open", { comm_id, target_name: "echo", data: {} });
	const buffer = Buffer.alloc(echoBytes, 7);
	const times: number[] = [];
	for (let round = 0; round < echoRounds; round++) {
		buffer.writeUInt32LE(round, echoBytes / 2);
		const begin = performance.now();
		const id = kernel.send("comm_msg", { comm_id, data: 1 }, "shell", {}, [buffer]);
		const find = () => kernel.messages.find(({ parentId, type }) => parentId === id && type === "comm_msg");
		await kernel.until(() => find() !== undefined);
		times.push(performance.now() - begin);
		if (!find()!.buffers[0]?.equals(buffer)) throw new Error("Another buffer came back than was sent");
		// Let go: this process holds every message otherwise.
		kernel.messages.length = 0;
	}
	const median = times.sort((a, b) => a - b)[Math.floor(echoRounds / 2)]!;
	return (2 * echoBytes) / median / 1000;
}
