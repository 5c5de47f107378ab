import { chapterSlugs, renderChapter, type Lesson } from './lesson.ts';
import { STYLE } from './page.ts';

/** A lesson as slides: a section each, arrow keys between them, one a sheet when printed. */
export function slides(lesson: Lesson): string {
  const parts = lesson.html
    .replace(/ <a class="anchor"[^>]*>#<\/a>/g, '')
    .split(/(?=<h2 )/)
    .map((part) => `<section>${part}</section>`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${lesson.title}</title><link rel="icon" href="data:,"><style>${STYLE}${SLIDES}</style></head>
<body class="slides">${parts.join('\n')}<output></output><script>${SCRIPT}</script></body></html>
`;
}

/** The page that leads to the slides of each lesson. */
export function slidesIndex(): string {
  const list = chapterSlugs().map(
    (slug) => `<li><a href="${slug}.html">${renderChapter(slug).title}</a></li>`,
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Slides</title><link rel="icon" href="data:,"><style>${STYLE}</style></head><body style="display:block"><main><h1>Slides</h1><ul>${list.join('')}</ul><p>Arrow keys turn the page; printing gives one slide a sheet.</p></main></body></html>\n`;
}

const SLIDES = `
body.slides { display: block; }
.slides section { display: none; max-width: 62rem; margin: 0 auto; padding: 2.5rem 2rem 4rem; font-size: 1.15rem; }
.slides section.shown { display: block; }
.slides h2 { border: 0; margin-top: 0; font-size: 2rem; }
.slides img { max-height: 70vh; }
.slides output { position: fixed; right: 1rem; bottom: .6rem; color: var(--soft); font: 13px system-ui, sans-serif; }
@media print { .slides section { display: block !important; break-after: page; } .slides output { display: none; } }
`;

const SCRIPT = `
const all = [...document.querySelectorAll('section')];
function show(to, keep) {
  const at = Math.min(all.length, Math.max(1, to));
  all.forEach((one, i) => one.classList.toggle('shown', i + 1 === at));
  document.querySelector('output').textContent = at + ' / ' + all.length;
  if (!keep) { location.hash = at; scrollTo(0, 0); }
  return at;
}
let at = show(Number(location.hash.slice(1)) || 1, true);
addEventListener('hashchange', () => { at = show(Number(location.hash.slice(1)) || 1, true); });
addEventListener('keydown', (event) => {
  if (['ArrowRight', 'PageDown', ' '].includes(event.key)) { event.preventDefault(); at = show(at + 1); }
  if (['ArrowLeft', 'PageUp'].includes(event.key)) { event.preventDefault(); at = show(at - 1); }
});
`;
