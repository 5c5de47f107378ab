import { escapeHtml, type Lesson } from './lesson.ts';

/** A whole page around a lesson: the chapters at the side, the neighbours at the end. No request leaves the machine. */
export function page(lesson: Lesson, all: readonly Pick<Lesson, 'slug' | 'title'>[]): string {
  const at = all.findIndex((other) => other.slug === lesson.slug);
  const link = (other: Pick<Lesson, 'slug' | 'title'> | undefined, label: string): string =>
    other ? `<a href="${address(other)}"><small>${label}</small>${other.title}</a>` : '<span></span>';
  const chapters = all
    .map((other) => {
      const here = other.slug === lesson.slug;
      const sections = here
        ? lesson.sections.map((s) => `<li><a href="#${s.id}">${s.text}</a></li>`).join('')
        : '';
      const number = other.slug ? `<span class="number">${Number(other.slug.slice(0, 2))}</span>` : '';
      return `<li><a href="${address(other)}"${here ? ' aria-current="page"' : ''}>${number}${other.title}</a>${sections && `<ul>${sections}</ul>`}</li>`;
    })
    .join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${lesson.title}</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
<script src="/book.js"  defer></script>
<script>try { document.documentElement.dataset.theme = localStorage.getItem('theme') ?? ''; } catch {}</script>
</head>
<body>
<details class="chapters"><summary>Chapters</summary></details>
<nav aria-label="Chapters"><div class="tools"><input id="search" type="search" placeholder="Search  /" aria-label="Search all lessons" autocomplete="off"><button id="theme" type="button" aria-label="Dark or light">◐</button></div>
<ul id="results" hidden></ul>
<ul>${chapters}</ul></nav>
<main>
${lesson.html}
<footer>${link(all[at - 1], 'Before')}${link(all[at + 1], 'Next')}</footer>
</main>
</body>
</html>
`;
}

/** Where a lesson is found on the server. */
export const address = (lesson: Pick<Lesson, 'slug'>): string =>
  lesson.slug === '' ? '/' : `/${lesson.slug}/`;

export function errorPage(message: string): string {
  return `<!doctype html><title>Not shown</title><style>${STYLE}</style><main><h1>This page cannot be shown</h1><pre>${escapeHtml(message)}</pre><p><a href="/">To the start</a></p></main>`;
}

export const STYLE = `
:root {
  color-scheme: light dark;
  --ink: light-dark(#1d2430, #dfe3ea); --soft: light-dark(#5a6577, #98a2b3); --paper: light-dark(#fdfcf9, #14181f);
  --panel: light-dark(#f3f1ea, #1c222c); --rule: light-dark(#dcd8cc, #303948); --accent: light-dark(#0b5fa5, #74b3ec); --call: light-dark(#b8762a, #e0a458);
}
:root[data-theme=light] { color-scheme: light; }
:root[data-theme=dark] { color-scheme: dark; }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 17px/1.65 Georgia, 'Iowan Old Style', 'Liberation Serif', serif; }
@media (min-width: 62rem) { body { display: grid; grid-template-columns: 17rem minmax(0, 1fr); } }
nav { font: 14px/1.5 system-ui, sans-serif; background: var(--panel); border-right: 1px solid var(--rule); padding: 1.5rem 1.25rem; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav ul ul { margin: .25rem 0 .75rem .75rem; padding-left: .6rem; border-left: 2px solid var(--rule); }
nav li { margin: .4rem 0; }
nav a { color: var(--ink); text-decoration: none; }
nav a:hover { color: var(--accent); text-decoration: underline; }
nav a[aria-current] { color: var(--accent); font-weight: 600; }
.chapters { display: none; }
@media (max-width: 62rem) {
  nav { display: none; border: 0; border-bottom: 1px solid var(--rule); }
  .chapters { display: block; font: 15px system-ui, sans-serif; padding: .8rem 1.25rem; background: var(--panel); border-bottom: 1px solid var(--rule); cursor: pointer; }
  .chapters[open] + nav { display: block; }
}
@media (min-width: 62rem) { nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; } }
main { max-width: 47rem; width: 100%; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1, h2, h3 { font-family: system-ui, sans-serif; line-height: 1.25; letter-spacing: -.01em; }
h1 { font-size: 2rem; margin: .5rem 0 1.5rem; }
h2 { font-size: 1.4rem; margin: 2.6rem 0 .8rem; padding-top: 1rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1.1rem; margin: 1.8rem 0 .5rem; }
a { color: var(--accent); }
img { max-width: 100%; height: auto; display: block; margin: 1.5rem auto; border-radius: 6px; }
code, pre { font: 13px/1.55 ui-monospace, 'DejaVu Sans Mono', monospace; }
:not(pre) > code { background: var(--panel); border-radius: 3px; padding: .1em .3em; font-size: .82em; overflow-wrap: anywhere; }
pre { background: var(--panel); border: 1px solid var(--rule); border-radius: 6px; padding: .9rem 1rem; overflow-x: auto; }
.quote { margin: 1.4rem 0; }
.quote figcaption { font: 12px ui-monospace, monospace; padding-bottom: .3rem; } .quote figcaption a { color: var(--soft); text-decoration: none; } .quote figcaption a:hover { text-decoration: underline; }
/* Code is wider than prose, as far as there is room: its lines have up to 110 characters. So is a table of five columns. */
@media (min-width: 65rem) { main > :is(.quote, table:has(th:nth-child(5))) { margin-inline: calc(-1 * clamp(0rem, (100vw - 65rem) / 2, 8rem)); } }
.quote pre { margin: 0; border-left: 4px solid var(--accent); }
table { border-collapse: collapse; font: 14px/1.5 system-ui, sans-serif; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--rule); padding: .4rem .5rem; text-align: left; vertical-align: top; }
th { background: var(--panel); }
td > code { white-space: nowrap; padding: .1em .2em; font-size: 11px; }
blockquote { margin: 1.2rem 0; padding: .1rem 1.1rem; border-left: 4px solid var(--rule); color: var(--soft); }
details { margin: 1rem 0; }
summary { cursor: pointer; }
.tools { display: flex; gap: .4rem; margin-bottom: 1rem; }
.tools input { flex: 1; min-width: 0; } .tools input, button { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--rule); border-radius: 4px; padding: .25rem .5rem; }
button { cursor: pointer; } #results:not([hidden]) { margin-bottom: 1.2rem; padding-bottom: .8rem; border-bottom: 1px solid var(--rule); }
#results small { display: block; color: var(--soft); overflow-wrap: anywhere; } #results mark { background: none; color: var(--accent); font-weight: 600; }
.copied { position: relative; } .copied > button { position: absolute; top: .4rem; right: .4rem; font: 12px system-ui, sans-serif; opacity: 0; }
.copied:hover > button, .copied > button:focus { opacity: 1; } @media (hover: none) { .copied > button { position: static; display: block; margin: 0 0 .2rem auto; opacity: 1; } }
.anchor { color: var(--soft); text-decoration: none; font-weight: 400; opacity: 0; }
:is(h2, h3, h4):hover .anchor, .anchor:focus { opacity: 1; }
footer { display: flex; justify-content: space-between; gap: 1rem; margin-top: 4rem; padding-top: 1rem; border-top: 1px solid var(--rule); font: 15px/1.4 system-ui, sans-serif; }
footer a { text-decoration: none; } footer small { display: block; color: var(--soft); }
footer a:last-child { text-align: right; }
/* What a program printed is folded rather than scrolled; what was typed stands out from it. */
pre.language-console { white-space: pre-wrap; overflow-wrap: anywhere; color: var(--soft); }
pre.language-console :is(b, span) { display: block; padding-left: var(--hang); text-indent: calc(-1 * var(--hang)); } pre.language-console b { color: var(--ink); font-weight: 600; }
/* Questions to answer before one looks. */
.predict { margin: 2.6rem 0; padding: .2rem 1.3rem 1rem; background: var(--panel); border: 1px solid var(--rule); border-left: 5px solid var(--call); border-radius: 6px; }
.predict h2 { border: 0; margin-top: .6rem; padding: 0; } .predict h2::before { content: '? '; color: var(--call); }
.predict pre, .predict code { background: var(--paper); }
.predict details { margin: .3rem 0 1rem; } .predict summary { color: var(--accent); }
nav .number { display: inline-block; min-width: 1.4em; color: var(--soft); font-variant-numeric: tabular-nums; }
main > table { font-size: 15px; }
/* Pictures are drawn on paper: in the dark they are turned over, colours kept. */
@media (prefers-color-scheme: dark) { :root:not([data-theme=light]) img { filter: invert(.91) hue-rotate(180deg); } }
:root[data-theme=dark] img { filter: invert(.91) hue-rotate(180deg); }
@media (max-width: 40rem) { body { font-size: 16px; } h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; } code, pre { font-size: 12.5px; } .predict { padding: .1rem .9rem .7rem; } pre:not(.language-ts) { white-space: pre-wrap; overflow-wrap: anywhere; } pre.language-console :is(b, span) { padding-left: min(var(--hang), 13ch); text-indent: calc(-1 * min(var(--hang), 13ch)); } }
@media print { :root, :root[data-theme=dark] { color-scheme: light !important; } :root img, :root[data-theme] img { filter: none !important; } body { font-size: 11pt; } main { max-width: none; padding: 0; } pre, code { font-size: 9pt; } figure, img, table, .predict { break-inside: avoid; } .anchor, button, nav, .chapters, footer { display: none; } body { display: block; } pre { white-space: pre-wrap; } h2 { break-after: avoid; } }
`;
