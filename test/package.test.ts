// The package as npm packs it: every page that its pages link to is in it, and its types hold in a project that resolves
// modules as Node.js or as a bundler does, libraries checked too.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import ts from "typescript";
import { temporaryFolder } from "./helpers/temporary-folder.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);

/** Installs the package into a project of its own, beside the libraries that are here. */
async function install(test: TestContext): Promise<{ project: string; installed: string }> {
	const project = await temporaryFolder(test);
	const installed = join(project, "node_modules/octavo");
	await mkdir(installed, { recursive: true });
	await run("npm", ["pack", "--ignore-scripts", "--pack-destination", project], { cwd: root });
	const archive = readdirSync(project).find((file) => file.endsWith(".tgz"))!;
	await run("tar", ["xzf", join(project, archive), "-C", installed, "--strip-components=1"]);
	await writeFile(join(project, "package.json"), '{ "type": "module" }');
	for (const name of readdirSync(join(root, "node_modules"))) {
		if (name !== "octavo") await symlink(join(root, "node_modules", name), join(project, "node_modules", name));
	}
	return { project, installed };
}

test("what the pages of the package link to is in the package", async (t) => {
	const { installed } = await install(t);
	const pages = readdirSync(installed, { recursive: true }).map(String);
	const links = pages
		.filter((page) => page.endsWith(".md"))
		.flatMap((page) =>
			[...readFileSync(join(installed, page), "utf8").matchAll(/\]\(([^)\s]+)\)/g)].map((match) => ({
				page,
				to: match[1]!,
			})),
		)
		.filter(({ to }) => !/^[a-z]+:/.test(to));
	assert.ok(links.filter(({ page }) => page === "README.md").length > 10);
	assert.ok(links.filter(({ page }) => page.startsWith("docs/")).length > 10);
	const anchors = (path: string) =>
		[...readFileSync(path, "utf8").matchAll(/^#+ (.*)$/gm)].map((match) =>
			match[1]!
				.toLowerCase()
				.replace(/[^\p{L}\p{N}\- ]/gu, "")
				.replaceAll(" ", "-"),
		);
	const broken = links.filter(({ page, to }) => {
		const [file, anchor] = to.split("#") as [string, string | undefined];
		const path = file === "" ? join(installed, page) : join(installed, dirname(page), file);
		return !existsSync(path) || (anchor !== undefined && !anchors(path).includes(anchor));
	});
	assert.deepEqual(broken, []);
});

const program = `
	import { type Batch, chart, compare, figures, hardware, loadModel, policies, schedules, tasks, Trace } from "octavo";
	const model = await loadModel();
	const session = model.session({ policy: policies.h2o({ budget: 64 }) });
	await session.prefill(tasks.recall().context);
	const layer: number = session.trace.table("evictions").get(0)!.layer_index;
	const { rows } = await figures.accuracyByBudget(model, { task: "needle" });
	const score: number = rows[0]!.score;
	const profile: hardware.Profile = hardware.profileByName("h100-4x");
	const schedule: schedules.Schedule = schedules.deepOptimizerStates(schedules.publishedConfiguration("7B"), { updateStride: 2 });
	const batch: Batch = model.batch();
	console.log(layer, score, hardware.simulate(schedule, profile).iterationUs, batch, chart.blockMap(session.trace), compare, Trace);
`;

function diagnose(project: string, file: string, settings: ts.CompilerOptions): string[] {
	const options: ts.CompilerOptions = {
		...{ target: ts.ScriptTarget.ES2022, lib: ["lib.es2022.d.ts", "lib.esnext.disposable.d.ts"] },
		...{ strict: true, noEmit: true, skipLibCheck: false, types: ["node"] },
		...{ typeRoots: [join(project, "node_modules/@types")], ...settings },
	};
	const found = ts.getPreEmitDiagnostics(ts.createProgram([file], options));
	return found.map(({ file: where, messageText }) => {
		const text = ts.flattenDiagnosticMessageText(messageText, "\n");
		return `${where ? relative(project, where.fileName) : ""}: ${text}`;
	});
}

test("types hold in a project that resolves modules as Node.js does, and as a bundler does", async (t) => {
	const { project } = await install(t);
	const good = join(project, "good.ts");
	const bad = join(project, "bad.ts");
	await writeFile(good, program);
	await writeFile(bad, program.replace("const score: number", "const score: string"));
	for (const settings of [
		{ module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16 },
		{ module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler },
	]) {
		assert.deepEqual(diagnose(project, good, settings), []);
		const found = diagnose(project, bad, settings).join("\n");
		assert.equal(found, "bad.ts: Type 'number' is not assignable to type 'string'.");
	}
});
