// One WebSocket of one kernel: passes messages both ways. What a client sends while the kernel starts waits; a client
// that reads too slowly is cut off before it fills the server's memory, and may connect again.

import type { RawData, WebSocket } from "ws";
import type { RawMessage } from "../wire/client-sockets.js";
import { decodeFromSocket, encodeForSocket } from "./channel-codec.js";
import type { KernelListener, ManagedKernel } from "./managed-kernel.js";

const maxBufferedBytes = 256 * 1024 * 1024;

/**
 * Ties a WebSocket to a kernel until either goes.
 *
 * @param session session that the client announced in its URL; replies to it come here
 */
export function serveKernelSocket(
	socket: WebSocket,
	kernel: ManagedKernel,
	session: string | null,
	log: (text: string) => void,
): void {
	const sessions = new Set(session === null ? [] : [session]);
	const listener: KernelListener = {
		sessions,
		deliver(message) {
			if (socket.readyState !== socket.OPEN) return;
			if (socket.bufferedAmount > maxBufferedBytes) {
				log(`kernel ${kernel.id}: a client read too slowly and was cut off\n`);
				socket.close(1013, "The client reads too slowly");
				return;
			}
			socket.send(encodeForSocket(message, socket.protocol));
		},
	};
	const detach = kernel.attach(listener);
	socket.on("close", detach);
	socket.on("error", (error) => log(`kernel ${kernel.id}: WebSocket: ${error.message}\n`));
	// A message behind one that waits for the kernel's start must not overtake it.
	let order: Promise<void> = kernel.ready.catch(() => undefined);
	socket.on("message", (data: RawData, isBinary: boolean) => {
		let message: RawMessage;
		try {
			message = decodeFromSocket(toBuffer(data), isBinary, socket.protocol);
			sessions.add(String((JSON.parse(message.parts[0].toString("utf8")) as { session?: unknown }).session));
		} catch (error) {
			log(`kernel ${kernel.id}: dropped a message: ${(error as Error).message}\n`);
			return;
		}
		order = order.then(() => kernel.send(message));
	});
}

function toBuffer(data: RawData): Buffer {
	if (Buffer.isBuffer(data)) return data;
	return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}
