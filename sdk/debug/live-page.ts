// The HTML of a live view: the picture, and buttons that a script brings to life where the page has a way to the kernel.
// Elsewhere they stay hidden: in a saved page, and in front ends that give scripts no such way.

/** Name under which pages open their comms. */
export const viewTarget = "octavo.view";

/** What the buttons ask for. */
export const viewActions = { back: "◀ back", step: "step ▶", run: "continue ▶▶" } as const;

/** Name of one of the buttons. */
export type ViewAction = keyof typeof viewActions;

// A page may hold one view several times, and a redrawn output runs its script again: all share one channel by view.
// The ways, in turn: a page's own `octavoKernel`, Notebook 6, JupyterLab where it shows its application to scripts.
const source = `
	var here = document.currentScript;
	var root = here && here.closest && here.closest(".octavo-view");
	if (!root) root = document.querySelector('.octavo-view[data-view="' + view + '"]');
	if (!root) return;
	var channels = (window.octavoViews = window.octavoViews || {});
	function connect() {
		var data = { view: view }, comm, kernel, lab;
		if (window.octavoKernel) return window.octavoKernel.openComm(target, data);
		if (window.Jupyter && Jupyter.notebook && (kernel = Jupyter.notebook.kernel) && kernel.is_connected()) {
			comm = kernel.comm_manager.new_comm(target, data);
			return { send: function (sent) { comm.send(sent); }, onClose: function (call) { comm.on_close(call); } };
		}
		if ((lab = window.jupyterapp || window.jupyterlab) && lab.shell) {
			kernel = lab.shell.currentWidget && lab.shell.currentWidget.sessionContext;
			kernel = kernel && kernel.session && kernel.session.kernel;
			if (!kernel) return null;
			comm = kernel.createComm(target);
			comm.open(data);
			return { send: function (sent) { comm.send(sent); }, onClose: function (call) { comm.onClose = call; } };
		}
		return null;
	}
	var channel = channels[view];
	if (!channel) {
		try { channel = connect(); } catch (error) { return; }
		if (!channel) return;
		channels[view] = channel;
		channel.onClose(function () {
			delete channels[view];
			document.querySelectorAll('.octavo-view[data-view="' + view + '"] .octavo-controls').forEach(function (one) { one.hidden = true; });
		});
	}
	var controls = root.querySelector(".octavo-controls");
	controls.hidden = false;
	controls.querySelectorAll("button").forEach(function (button) {
		button.onclick = function () { channel.send({ action: button.getAttribute("data-action") }); };
	});
`;

/**
 * A view's page.
 *
 * @param picture HTML or SVG
 * @param status a line under it, as text
 */
export function viewPage(viewId: string, picture: string, status: string): string {
	const buttons = Object.entries(viewActions).map(
		([action, face]) => `<button type="button" data-action="${action}">${face}</button>`,
	);
	const values = Object.entries({ view: viewId, target: viewTarget });
	const declarations = values.map(([name, value]) => `\tvar ${name} = ${JSON.stringify(value)};`).join("\n");
	return [
		`<div class="octavo-view" data-view="${viewId}">`,
		`<div class="octavo-controls" hidden style="margin-bottom:4px">${buttons.join(" ")}</div>`,
		picture,
		`<div style="font-size:85%;opacity:.8;font-variant-numeric:tabular-nums">${escapeHtml(status)}</div>`,
		`<script>(function () {\n${declarations}${source}})();</script>`,
		"</div>",
	].join("\n");
}

/** Text as HTML, also within quotes. */
export function escapeHtml(text: string): string {
	return text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]!);
}
