import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { Marked, type Token, type Tokens } from 'marked';
import { highlight } from './highlight.ts';
import { region } from './regions.ts';

export interface Lesson {
  /** The folder's name, which is also its address: `01-processes`. */
  slug: string;
  /** The lesson's first heading, as plain text. */
  title: string;
  html: string;
  /** Second-level headings: the page's own table of contents. */
  sections: { id: string; text: string }[];
}

const ROOT = join(import.meta.dirname, '..');

/** The chapters' folder names, in order. */
export function chapterSlugs(): string[] {
  return readdirSync(join(ROOT, 'chapters'))
    .filter((name) => /^\d\d-/.test(name))
    .sort();
}

/** What can be read, in order: the README under the empty slug, then the chapters. Titles are HTML. */
export function contents(): Pick<Lesson, 'slug' | 'title'>[] {
  return ['', ...chapterSlugs()].map((slug) => {
    const path = slug ? join(ROOT, 'chapters', slug, 'README.md') : join(ROOT, 'README.md');
    const heading = existsSync(path) ? /^# (.+)$/m.exec(readFileSync(path, 'utf8'))?.[1] : undefined;
    return { slug, title: heading === undefined ? slug : plain(heading) };
  });
}

const plain = (markdown: string): string =>
  new Marked().parseInline(markdown, { async: false }).replace(/<[^>]+>/g, '');

/** The README, which is the book's first page. */
export const renderReadme = (): Lesson => renderLesson(join(ROOT, 'README.md'), '');

/** One chapter's lesson as HTML, quoted code included. @throws Error when it quotes a region that is not there */
export function renderChapter(slug: string): Lesson {
  return renderLesson(join(ROOT, 'chapters', slug, 'README.md'), slug);
}

/**
 * Renders a lesson. A paragraph that is nothing but a link into a source file with a fragment, `[fork.ts › fork](fork.ts#fork)`, is
 * a quotation: it becomes that region of the file, so that the prose cannot drift from the source.
 */
export function renderLesson(path: string, slug = basename(dirname(path))): Lesson {
  const sections: Lesson['sections'] = [];
  let title = slug;
  const quoting = new Set<Token>();
  const marked = new Marked({
    gfm: true,
    walkTokens: (token) => {
      // The one link of a quoting paragraph is looked up later, as it is written.
      if (token.type === 'paragraph' && onlyLink(token.tokens ?? [])) quoting.add(token.tokens![0]!);
      if (quoting.has(token)) return;
      if (token.type === 'link' || token.type === 'image') token['href'] = addressOf(token['href'], path);
    },
    renderer: {
      paragraph({ tokens }: Tokens.Paragraph): string | false {
        const link = onlyLink(tokens);
        return link ? quotation(path, link) : false;
      },
      heading({ tokens, depth }: Tokens.Heading): string {
        const html = this.parser.parseInline(tokens);
        const text = html.replace(/<[^>]+>/g, '');
        const id = text
          .toLowerCase()
          .replace(/&[^;]+;/g, '')
          .replace(/[^\p{L}\p{N}]+/gu, '-')
          .replace(/^-|-$/g, '');
        if (depth === 1) title = text;
        if (depth === 2) sections.push({ id, text });
        const anchor = depth === 1 ? '' : ` <a class="anchor" href="#${id}" aria-label="This section">#</a>`;
        return `<h${depth} id="${id}">${html}${anchor}</h${depth}>\n`;
      },
      code: ({ text, lang }: Tokens.Code): string => {
        const language = lang?.split(' ')[0] || 'text';
        return `${language === 'console' ? consoleBlock(text) : highlight(text, language)}\n`;
      },
    },
  });
  const html = asked(marked.parse(readFileSync(path, 'utf8'), { async: false }));
  return { slug, title, html, sections };
}

/** A transcript: what was typed apart from what came. A line that is too long goes on below where its last column began. */
function consoleBlock(text: string): string {
  const lines = text.split('\n');
  const typed = (line: string, i: number): boolean =>
    /^[$#] /.test(line) || (i > 0 && lines[i - 1]!.endsWith('\\') && typed(lines[i - 1]!, i - 1));
  const html = lines.map((line, i) => {
    const tag = typed(line, i) ? 'b' : 'span';
    return `<${tag} style="--hang: ${hang(line)}ch">${escapeHtml(line)}\n</${tag}>`;
  });
  return `<pre class="code language-console" tabindex="0"><code>${html.join('')}</code></pre>`;
}

/** How far a line is set in when it goes on below. A line that is not itself set in has no columns: a little. characters */
const hang = (line: string): number =>
  (/^ /.test(line) && /^.{0,56} {2}(?=\S)|^ +/.exec(line)?.[0].length) || 2;

/** The section of questions that the reader is to answer before they look. */
const asked = (html: string): string =>
  html.replace(
    /<h2 id="predict-then-run">.*?(?=<h2 |$)/s,
    (section) => `<section class="predict">\n${section}</section>\n`,
  );

/** Where a page, a picture or a source file that a lesson links to is served; other addresses and quotations stay as they are. */
function addressOf(href: string, lesson: string): string {
  if (/^([a-z]+:|#|\/)/i.test(href)) return href;
  const [target = '', fragment] = href.split('#');
  const path = relative(ROOT, join(dirname(lesson), target));
  const chapter = /^chapters\/(\d\d-[^/]+)(\/README\.md)?\/?$/.exec(path)?.[1];
  const address = chapter ? `/${chapter}/` : path === 'README.md' ? '/' : `/source/${path}`;
  return fragment === undefined || isQuotation(href) ? address : `${address}#${fragment}`;
}

const isQuotation = (href: string): boolean => /^[^:#]+\.ts#./.test(href);

function onlyLink(tokens: Token[]): { href: string; text: string } | undefined {
  const [token] = tokens;
  if (tokens.length !== 1 || token?.type !== 'link') return undefined;
  return isQuotation(token['href']) ? { href: token['href'], text: token['text'] } : undefined;
}

function quotation(lesson: string, { href, text }: { href: string; text: string }): string {
  const [file = '', name = ''] = href.split('#');
  const path = join(dirname(lesson), file);
  const place = `${lesson}:${lineOf(lesson, href)}`;
  if (!existsSync(path)) throw new Error(`${place} quotes ${file}: there is no such file`);
  let code: string;
  try {
    code = region(readFileSync(path, 'utf8'), decodeURIComponent(name), path);
  } catch (cause) {
    throw new Error(`${place}: ${(cause as Error).message}`, { cause });
  }
  const source = `/source/${relative(ROOT, path)}`;
  return `<figure class="quote"><figcaption><a href="${source}">${escapeHtml(text)}</a></figcaption>${highlight(code, 'ts')}</figure>\n`;
}

/** The line of a lesson, from 1, on which it first links to `href`; 1 when it nowhere does. */
export function lineOf(lesson: string, href: string): number {
  const lines = readFileSync(lesson, 'utf8').split('\n');
  return (
    Math.max(
      0,
      lines.findIndex((line) => line.includes(`](${href}`)),
    ) + 1
  );
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
}
