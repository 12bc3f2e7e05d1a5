// The way to a Jupyter server, ours or another's, and a kernel on it.

import { type Kernel, KernelManager, KernelSpecAPI, ServerConnection } from "@jupyterlab/services";
import { OctavoError, received } from "../../sdk/errors.js";

/** Where a Jupyter server is. */
export interface ServerAddress {
	/** `http://host:port/base/`; a `?token=` in it counts as the token. */
	url: string;
	token?: string | undefined;
}

/** A kernel that was started, and how to be rid of it. */
export interface StartedKernel {
	connection: Kernel.IKernelConnection;
	/** Shuts the kernel down and forgets the connection. Never rejects. */
	dispose(): Promise<void>;
}

/**
 * Starts a kernel on a Jupyter server.
 *
 * @param name kernelspec; the server's default when undefined
 * @throws {OctavoError} ERR_OCTAVO_SERVER_URL, ERR_OCTAVO_SERVER_CONNECT, ERR_OCTAVO_SERVER_TOKEN,
 *   ERR_OCTAVO_KERNEL_NAME (lists the names there are), ERR_OCTAVO_KERNEL_START
 */
export async function startKernel(address: ServerAddress, name: string | undefined): Promise<StartedKernel> {
	const serverSettings = settingsOf(address);
	const specs = await explained(address, () => KernelSpecAPI.getSpecs(serverSettings));
	const names = Object.keys(specs.kernelspecs);
	const chosen = name ?? specs.default;
	if (!names.includes(chosen)) {
		throw new OctavoError(
			"ERR_OCTAVO_KERNEL_NAME",
			`Expected a kernel that the server has (${names.join(", ")}) but received ${received(chosen)}; --kernel names another`,
		);
	}
	const manager = new KernelManager({ serverSettings, standby: "never" });
	try {
		const connection = await explained(address, () => manager.startNew({ name: chosen }));
		return {
			connection,
			async dispose() {
				await connection.shutdown().catch(() => undefined);
				connection.dispose();
				manager.dispose();
			},
		};
	} catch (error) {
		manager.dispose();
		throw error;
	}
}

function settingsOf({ url, token }: ServerAddress): ServerConnection.ISettings {
	let parsed: URL;
	try {
		parsed = new URL(url);
	} catch {
		throw new OctavoError(
			"ERR_OCTAVO_SERVER_URL",
			`Expected a URL such as http://127.0.0.1:8888/ but received ${received(url)}`,
		);
	}
	if (!/^https?:$/.test(parsed.protocol)) {
		throw new OctavoError(
			"ERR_OCTAVO_SERVER_URL",
			`Expected http or https for the server but received ${received(url)}`,
		);
	}
	// A server's printed URL may name a page of it.
	const path = parsed.pathname.replace(/(?<=\/)(?:tree|lab)\/?$/, "").replace(/\/*$/, "/");
	const baseUrl = `${parsed.origin}${path}`;
	return ServerConnection.makeSettings({
		baseUrl,
		wsUrl: baseUrl.replace(/^http/, "ws"),
		token: token ?? parsed.searchParams.get("token") ?? "",
		appendToken: true,
	});
}

async function explained<T>({ url }: ServerAddress, call: () => Promise<T>): Promise<T> {
	try {
		return await call();
	} catch (error) {
		const shown = url.split("?")[0];
		if (error instanceof ServerConnection.NetworkError) {
			throw new OctavoError(
				"ERR_OCTAVO_SERVER_CONNECT",
				`Expected a Jupyter server at ${shown} but it does not answer`,
				{ cause: error },
			);
		}
		if (error instanceof ServerConnection.ResponseError) {
			const { status } = error.response;
			const isRefused = status === 401 || status === 403;
			throw new OctavoError(
				isRefused ? "ERR_OCTAVO_SERVER_TOKEN" : "ERR_OCTAVO_KERNEL_START",
				isRefused
					? `The server at ${shown} refused the token (${status})`
					: `The server at ${shown} answered ${status}: ${error.message}`,
				{ cause: error },
			);
		}
		throw error;
	}
}
