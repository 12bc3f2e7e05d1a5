// Who may talk to the server. Every request needs the token; a page of another site cannot use a browser's reach to this
// machine, because Host must be a name of this machine (DNS rebinding) and Origin, where sent, this very server.

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { OctavoError } from "../../sdk/errors.js";
import { isLoopback } from "../wire/connection.js";

/** Gives a new random token: 192 bits, as hexadecimal. */
export function makeToken(): string {
	return randomBytes(24).toString("hex");
}

/** Decides about requests. */
export class Access {
	readonly #tokenHash: Buffer;
	readonly #isRemote: boolean;

	/**
	 * @param host address that the server binds to
	 * @param allowRemote permits an address other than loopback; default false
	 * @throws {OctavoError} ERR_OCTAVO_SERVER_ADDRESS for another address without `allowRemote`; ERR_OCTAVO_SERVER_TOKEN
	 *   for an empty token or one with blanks
	 */
	constructor(token: string, host: string, allowRemote = false) {
		if (!/^[\x21-\x7e]+$/.test(token)) {
			throw new OctavoError("ERR_OCTAVO_SERVER_TOKEN", "Expected a token of visible ASCII characters, at least one");
		}
		if (!isLoopback(host) && !allowRemote) {
			throw new OctavoError(
				"ERR_OCTAVO_SERVER_ADDRESS",
				`Expected a loopback address for host but received ${JSON.stringify(host)}; --allow-remote permits others`,
			);
		}
		this.#tokenHash = hash(token);
		this.#isRemote = !isLoopback(host);
	}

	/** Says why a request's Host or Origin is refused; undefined when both are in order. */
	checkSite(request: IncomingMessage): string | undefined {
		const { host, origin } = request.headers;
		const name = hostname(host);
		if (name === undefined || (!this.#isRemote && !isLoopback(name))) {
			return `Expected a Host of this machine but received ${JSON.stringify(host ?? null)}`;
		}
		if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
			return `Expected this server as Origin but received ${JSON.stringify(origin)}`;
		}
		return undefined;
	}

	/** Says whether a request carries the token, in the header or the query. */
	hasToken(request: IncomingMessage): boolean {
		const header = /^(?:token|bearer)\s+(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
		const given = header ?? new URL(request.url ?? "/", "http://localhost").searchParams.get("token");
		// Hashes have one length, so the comparison takes the same time for every guess.
		return given !== null && given !== undefined && timingSafeEqual(hash(given), this.#tokenHash);
	}
}

function hash(text: string): Buffer {
	return createHash("sha256").update(text).digest();
}

function hostname(host: string | undefined): string | undefined {
	try {
		return new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, "");
	} catch {
		return undefined;
	}
}
