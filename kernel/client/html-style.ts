// The look of an exported page. System fonts only, colours by the reader's light or dark setting, wide outputs scroll in
// their own box so that the text column keeps its measure.

/** Content of the page's style element. */
export const pageStyle = `
:root {
	color-scheme: light dark;
	--page: #ffffff; --ink: #1f2328; --soft: #667079; --line: #e3e6ea; --box: #f6f7f9; --accent: #1f5fbf;
	--error-box: #fff3f1; --error-line: #e5533d; --warn-box: #fff9e8;
	--keyword: #9a2f8f; --string: #22703c; --number: #a1520c; --comment: #75808a; --title: #1f5fbf; --type: #0f6f78;
	--ansi-black: #3b4148; --ansi-red: #c0321f; --ansi-green: #22703c; --ansi-yellow: #8a6100; --ansi-blue: #1f5fbf;
	--ansi-magenta: #9a2f8f; --ansi-cyan: #0f6f78; --ansi-white: #667079; --ansi-bright-black: #75808a;
	--ansi-bright-red: #e5533d; --ansi-bright-green: #2f8f50; --ansi-bright-yellow: #a87900; --ansi-bright-blue: #3d7fe0;
	--ansi-bright-magenta: #b84aac; --ansi-bright-cyan: #14899a; --ansi-bright-white: #1f2328;
}
@media (prefers-color-scheme: dark) {
	:root {
		--page: #15181c; --ink: #dde2e8; --soft: #95a0ab; --line: #2c323a; --box: #1c2127; --accent: #7db2ff;
		--error-box: #2b1b19; --error-line: #ff7a66; --warn-box: #29241a;
		--keyword: #e08ad8; --string: #83cf98; --number: #f0a968; --comment: #7f8a95; --title: #7db2ff; --type: #6fd0d8;
		--ansi-black: #7f8a95; --ansi-red: #ff7a66; --ansi-green: #83cf98; --ansi-yellow: #e3bd5b; --ansi-blue: #7db2ff;
		--ansi-magenta: #e08ad8; --ansi-cyan: #6fd0d8; --ansi-white: #dde2e8; --ansi-bright-black: #95a0ab;
		--ansi-bright-red: #ff9b8b; --ansi-bright-green: #a5e3b5; --ansi-bright-yellow: #f2d583; --ansi-bright-blue: #a6caff;
		--ansi-bright-magenta: #eeb0e8; --ansi-bright-cyan: #9ce4ea; --ansi-bright-white: #ffffff;
	}
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 17px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem 4rem; }
nav { display: none; }
@media (min-width: 88rem) {
	nav { display: block; position: fixed; top: 3rem; left: max(1rem, calc(50vw - 45rem)); width: 12rem; max-height: 85vh; overflow: auto; font-size: 0.8rem; line-height: 1.4; }
	nav a { display: block; padding: 0.25rem 0; color: var(--soft); text-decoration: none; }
	nav a:hover { color: var(--accent); }
	nav .level-3 { padding-left: 0.9rem; }
}
a { color: var(--accent); text-underline-offset: 0.15em; }
h1, h2, h3, h4 { line-height: 1.25; font-weight: 650; letter-spacing: -0.011em; margin: 2.2em 0 0.6em; text-wrap: balance; }
h1 { font-size: 2.1rem; margin-top: 0; }
h2 { font-size: 1.45rem; padding-top: 0.9em; border-top: 1px solid var(--line); }
h3 { font-size: 1.15rem; }
.markdown { max-width: 44rem; }
.markdown > :first-child { margin-top: 0; }
.markdown h2:first-child { margin-top: 1.6em; }
blockquote { margin: 1em 0; padding: 0.1em 1em; border-left: 3px solid var(--line); color: var(--soft); }
code, pre { font-family: ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.79em; line-height: 1.55; }
:not(pre) > code { background: var(--box); padding: 0.12em 0.35em; border-radius: 4px; }
pre { margin: 0; white-space: pre; overflow-x: auto; tab-size: 2; }
pre code { font-size: 1em; }
pre.code { background: var(--box); border: 1px solid var(--line); border-radius: 8px; padding: 0.8rem 1rem; }
.cell { position: relative; margin: 1.1rem 0; }
.prompt { position: absolute; left: -3.2rem; width: 2.6rem; top: 0.85rem; text-align: right; color: var(--soft); font: 0.72rem/1.55 ui-monospace, Menlo, Consolas, monospace; user-select: none; opacity: 0.75; }
.outputs { margin: 0.55rem 0 0; display: grid; gap: 0.5rem; grid-template-columns: minmax(0, 1fr); }
.output, .outputs > pre { padding: 0.2rem 0 0.2rem 1rem; border-left: 2px solid var(--line); overflow-x: auto; }
pre.stderr { background: var(--warn-box); border-left-color: var(--ansi-yellow); padding-block: 0.5rem; }
pre.error { background: var(--error-box); border-left-color: var(--error-line); padding-block: 0.6rem; }
.outputs > pre, .output pre { max-height: 40rem; overflow: auto; }
.raw { color: var(--soft); margin: 1.1rem 0; }
img, svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: 0.82em; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3em 0.7em; text-align: right; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); }
.markdown table { margin: 1em 0; }
.markdown th, .markdown td { text-align: left; }
hr { border: 0; border-top: 1px solid var(--line); margin: 2em 0; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: 0.8rem; }
.hljs-keyword, .hljs-selector-tag, .hljs-meta { color: var(--keyword); }
.hljs-string, .hljs-regexp, .hljs-template-tag { color: var(--string); }
.hljs-number, .hljs-literal { color: var(--number); }
.hljs-comment, .hljs-quote { color: var(--comment); font-style: italic; }
.hljs-title, .hljs-section { color: var(--title); }
.hljs-type, .hljs-built_in, .hljs-attr, .hljs-class { color: var(--type); }
.hljs-subst { color: var(--ink); }
.ansi-bold { font-weight: 700; } .ansi-dim { opacity: 0.65; } .ansi-italic { font-style: italic; }
.ansi-underline { text-decoration: underline; } .ansi-strike { text-decoration: line-through; } .ansi-inverse { filter: invert(1); }
@media (max-width: 50rem) { main { padding-left: 1.25rem; } .prompt { display: none; } body { font-size: 16px; } }
@media print { main { max-width: none; padding: 0; } .outputs > pre, .output pre { max-height: none; } .cell { break-inside: avoid-page; } }
`;
