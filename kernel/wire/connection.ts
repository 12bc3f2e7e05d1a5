// The connection file that a Jupyter client hands to a kernel: read, checked field by field, never trusted.
// A kernel runs whatever it is sent, so an address other than loopback is refused unless OCTAVO_ALLOW_REMOTE=1 says so.

import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { OctavoError, received } from "../../sdk/errors.js";

/** Where a kernel listens and with which key its messages are signed. */
export interface ConnectionInfo {
	transport: "tcp" | "ipc";
	/** Loopback address, or for `ipc` the path that the port numbers are appended to. */
	ip: string;
	shell_port: number;
	control_port: number;
	iopub_port: number;
	stdin_port: number;
	hb_port: number;
	/** Secret of the HMAC; empty means that messages are not signed. */
	key: string;
	signature_scheme: "hmac-sha256";
	kernel_name?: string;
}

/** Names of the five sockets, as the connection file spells their ports. */
export const channelPorts = ["shell_port", "control_port", "iopub_port", "stdin_port", "hb_port"] as const;

/** Gives true for 127.0.0.0/8, ::1 and localhost. */
export function isLoopback(address: string): boolean {
	if (address === "localhost" || address === "::1") return true;
	return isIP(address) === 4 && address.startsWith("127.");
}

/**
 * Checks a parsed connection file.
 *
 * @param allowRemote accept an address other than loopback; default false
 * @throws {OctavoError} ERR_OCTAVO_CONNECTION_FILE names the field
 */
export function checkConnection(value: unknown, allowRemote = false): ConnectionInfo {
	if (typeof value !== "object" || value === null) fail(`a JSON object`, "the connection file", value);
	const file = value as Record<string, unknown>;
	const transport = file.transport ?? "tcp";
	if (transport !== "tcp" && transport !== "ipc") fail(`"tcp" or "ipc"`, "transport", transport);
	const ip = file.ip;
	if (typeof ip !== "string" || ip === "") fail("an address", "ip", ip);
	if (transport === "tcp" && !allowRemote && !isLoopback(ip)) {
		fail("a loopback address (OCTAVO_ALLOW_REMOTE=1 permits others)", "ip", ip);
	}
	for (const name of channelPorts) {
		const port = file[name];
		if (!Number.isInteger(port) || (port as number) < 1 || (port as number) > 65535) {
			fail("a port number from 1 to 65535", name, port);
		}
	}
	const key = file.key ?? "";
	if (typeof key !== "string") fail("a string", "key", key);
	const scheme = file.signature_scheme ?? "hmac-sha256";
	if (scheme !== "hmac-sha256") fail(`"hmac-sha256"`, "signature_scheme", scheme);
	return { ...(file as unknown as ConnectionInfo), transport, ip, key, signature_scheme: scheme };
}

/**
 * Reads and checks a connection file.
 *
 * @throws {OctavoError} ERR_OCTAVO_CONNECTION_FILE when it cannot be read, is no JSON or holds a wrong field
 */
export function readConnectionFile(path: string): ConnectionInfo {
	let parsed: unknown;
	try {
		parsed = JSON.parse(readFileSync(path, "utf8"));
	} catch (error) {
		throw new OctavoError(
			"ERR_OCTAVO_CONNECTION_FILE",
			`Expected a readable JSON connection file at ${path} but ${(error as Error).message}`,
			{ cause: error },
		);
	}
	return checkConnection(parsed, process.env.OCTAVO_ALLOW_REMOTE === "1");
}

/** Gives the ZeroMQ address of one port. */
export function endpoint(connection: ConnectionInfo, port: number): string {
	if (connection.transport === "ipc") return `ipc://${connection.ip}-${port}`;
	const host = connection.ip.includes(":") ? `[${connection.ip}]` : connection.ip;
	return `tcp://${host}:${port}`;
}

function fail(expected: string, field: string, value: unknown): never {
	throw new OctavoError(
		"ERR_OCTAVO_CONNECTION_FILE",
		`Expected ${expected} for ${field} but received ${received(value)}`,
	);
}
