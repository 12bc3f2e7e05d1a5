// The scripts that run in the notebook's page. Figures and library find each other through two names on `window`:
// `octavoFigures`, the draw functions that wait, and `octavoPlotly`, the library. An output in a frame of its own looks for
// the library's script in the frames beside it, as far as the page lets it.

// `<` is written as an escape, so that no text of a figure can end the script.
function scriptJson(value: unknown): string {
	return JSON.stringify(value)
		.replace(/</g, "\\u003c")
		.replace(/\u2028/g, "\\u2028")
		.replace(/\u2029/g, "\\u2029");
}

const drawSource = `
	var script = document.currentScript;
	var element = script && script.previousElementSibling;
	if (!element || element.className !== "octavo-figure") element = document.getElementById(id);
	if (!element) return;
	var drawn = false;
	function draw(Plotly) {
		if (drawn) return;
		drawn = true;
		var layout = figure.layout || {};
		var color = getComputedStyle(element).color;
		if (!(layout.font && layout.font.color) || layout.font.color === "#777777")
			layout.font = Object.assign({}, layout.font, { color: color });
		element.textContent = "";
		Plotly.newPlot(element, figure.data || [], layout, Object.assign({ responsive: true, displaylogo: false }, figure.config));
	}
	function neighbour() {
		try {
			var frames = [window.parent];
			for (var i = 0; i < window.parent.frames.length; i++) frames.push(window.parent.frames[i]);
			for (i = 0; i < frames.length; i++) {
				var found = null;
				try { found = frames[i] !== window && frames[i].document.getElementById("octavo-plotly"); } catch (foreign) {}
				if (!found) continue;
				var copy = document.createElement("script");
				copy.textContent = found.textContent;
				document.head.appendChild(copy);
				return;
			}
		} catch (foreign) {}
	}
	if (window.octavoPlotly) return draw(window.octavoPlotly);
	(window.octavoFigures = window.octavoFigures || []).push(draw);
	setTimeout(function () {
		if (!drawn && window.parent !== window) neighbour();
		if (!drawn)
			element.textContent += " – This chart waits for plotly.js, which the first chart of the notebook carries: scroll to that chart, or run its cell again.";
	}, 2500);
`;

/** Draws a figure in the element before the script, or with this id, as soon as the page has the library. */
export function figureScript(id: string, figure: unknown): string {
	return `(function () {\n\tvar id = ${scriptJson(id)};\n\tvar figure = ${scriptJson(figure)};${drawSource}})();`;
}

/**
 * Gives the page the library, whatever module system it has, and draws the figures that wait. The library comes
 * compressed, a third of its size in every saved notebook, and is unpacked by the browser.
 *
 * @param libraryGzip plotly.js, gzip, in base64
 */
export function carrierScript(libraryGzip: string): string {
	return `(function () {
	function draw() {
		(window.octavoFigures || []).splice(0).forEach(function (draw) { draw(window.octavoPlotly); });
	}
	if (window.octavoPlotly) return draw();
	if (window.octavoPlotlyComing) return;
	window.octavoPlotlyComing = true;
	var bytes = Uint8Array.from(atob("${libraryGzip}"), function (c) { return c.charCodeAt(0); });
	new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text().then(function (source) {
		var before = window.Plotly;
		var element = document.createElement("script");
		element.textContent = "(function () { var define, module, exports;\\n" + source + "\\n}).call(window);";
		document.head.appendChild(element).remove();
		window.octavoPlotly = window.Plotly;
		if (before) window.Plotly = before;
		else delete window.Plotly;
		delete window.moduleName;
		draw();
	});
})();`;
}
