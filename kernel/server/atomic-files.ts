// Files that are written, made and moved whole: a reader never sees half of one, a full disk loses nothing, and a name that
// somebody else takes meanwhile stays theirs. A free name is claimed by a link, which fails where it is taken, as `rename`
// does not.

import { randomUUID } from "node:crypto";
import { link, lstat, mkdir, open, rename, rm, rmdir, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";

/** What systems answer that have no links, or let nobody link another user's file. */
const withoutLinks = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]);

/** How often a file that is there is looked up for a link, while others replace it. */
const maxLookups = 20;

/** Writes a file in the place of one that may be there. @param mode permission bits; default 0o644 */
export async function replaceFile(file: string, bytes: Buffer | string, mode = 0o644): Promise<void> {
	await writeAside(file, bytes, mode, (temporary) => rename(temporary, file));
}

/** Writes a file under a name that is free. @throws the system's EEXIST where it is taken */
export async function createFile(file: string, bytes: Buffer | string): Promise<void> {
	await writeAside(file, bytes, 0o644, (temporary) => moveFile(temporary, file));
}

/**
 * Moves a file, a link or a folder to a name that is free.
 *
 * @throws the system's EEXIST where it is taken, ENOENT where another has moved it first
 */
export async function moveToFree(from: string, to: string): Promise<void> {
	if (!(await lstat(from)).isDirectory()) return await moveFile(from, to);
	await mkdir(to);
	try {
		// A folder takes the place of an empty one, and of nothing else.
		await rename(from, to);
	} catch (error) {
		await rmdir(to).catch(() => {});
		throw error;
	}
}

async function moveFile(from: string, to: string): Promise<void> {
	const isLinked = await claim(from, to);
	if (!isLinked) {
		await rename(from, to).catch(async (error: unknown) => {
			await unlink(to);
			throw error;
		});
		return;
	}
	const aside = besides(from);
	try {
		await rename(from, aside);
	} catch (error) {
		// Gone: whoever moved it has it under another name.
		await unlink(to);
		throw error;
	}
	const [taken, claimed] = [await lstat(aside), await lstat(to).catch(() => undefined)];
	// What was saved there since the claim is the newer text.
	if (taken.ino === claimed?.ino) await unlink(aside);
	else await rename(aside, to);
}

/** Takes a free name for a file: by a link to it, or where there are none by an empty file. */
async function claim(from: string, to: string): Promise<boolean> {
	for (let attempt = 1; ; attempt++) {
		try {
			await link(from, to);
			return true;
		} catch (error) {
			const { code = "" } = error as NodeJS.ErrnoException;
			// Linux says so too of a file that was replaced between its lookup and its link.
			if (code === "ENOENT" && attempt < maxLookups && (await lstat(from).catch(() => undefined))) continue;
			if (!withoutLinks.has(code)) throw error;
			await (await open(to, "wx")).close();
			return false;
		}
	}
}

async function writeAside(
	file: string,
	bytes: Buffer | string,
	mode: number,
	place: (temporary: string) => Promise<void>,
): Promise<void> {
	const temporary = besides(file);
	try {
		const handle = await open(temporary, "wx", mode & 0o777);
		try {
			await handle.writeFile(bytes);
			// Some systems find out only now that there is no room.
			await handle.datasync();
		} finally {
			await handle.close();
		}
		await place(temporary);
	} catch (error) {
		await rm(temporary, { force: true });
		throw error;
	}
}

/** A name in the same folder that nobody has and no list shows. */
function besides(file: string): string {
	return join(dirname(file), `.~${randomUUID()}`);
}
