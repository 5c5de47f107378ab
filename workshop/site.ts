import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { contents, lineOf } from './lesson.ts';
import { address } from './page.ts';
import { found } from './serve.ts';

const ROOT = join(import.meta.dirname, '..');

/**
 * Writes what the server would show, from the first page through every link, into `out` (replaced whole) with relative addresses, so that it
 * can be read from the disk. Returns the addresses written.
 * @throws Error with file and line for a region that is missing or a link that leads nowhere; then `out` is as it was
 */
export function writeSite(out: string): string[] {
  const bodies = new Map<string, { type: string; body: string }>();
  const queue = [...contents().map(address), '/search.js'].map((path) => ({ path, from: '/' }));
  for (let next = queue.shift(); next; next = queue.shift()) {
    const { path, from } = next;
    if (bodies.has(path)) continue;
    const result = found(path);
    if (!result) throw new Error(`${origin(from, path)}: there is no ${path}`);
    bodies.set(path, result);
    if (result.type.startsWith('text/html'))
      for (const [, link = ''] of result.body.matchAll(LINK)) queue.push({ path: link, from: path });
  }
  for (const [path, { body, type }] of bodies)
    if (type.startsWith('text/html')) checkFragments(path, body, bodies);
  rmSync(out, { recursive: true, force: true });
  for (const [path, { body, type }] of bodies) {
    const file = fileOf(path, type);
    const text = body.replace(LINK, (whole, link: string) => {
      const target = fileOf(link, bodies.get(link)!.type);
      return whole.replace(link, posix.relative(posix.dirname(file), target));
    });
    mkdirSync(dirname(join(out, file)), { recursive: true });
    writeFileSync(join(out, file), type.startsWith('text/html') ? text : body);
  }
  return [...bodies.keys()];
}

const LINK = /(?<=(?:href|src)=")(\/[^"#]*)/g;

/** Where an address is kept: `/01-processes/` as a folder's index, a source file as a page beside its name. */
function fileOf(path: string, type: string): string {
  if (path.endsWith('/')) return `${path.slice(1)}index.html`;
  return path.slice(1) + (type.startsWith('text/html') ? '.html' : '');
}

function checkFragments(path: string, body: string, all: ReadonlyMap<string, { body: string }>): void {
  for (const [, target = '', id = ''] of body.matchAll(/href="(\/[^"#]*)?#([^"]+)"/g)) {
    const page = target ? all.get(target)!.body : body;
    if (!page.includes(`id="${decodeURIComponent(id)}"`))
      throw new Error(`${origin(path, target, id)}: ${target || path} has no part #${id}`);
  }
}

/** The lesson and the line on which a link stands. */
function origin(from: string, target: string, fragment?: string): string {
  const chapter = /^\/(\d\d-[^/]+)\/$/.exec(from)?.[1];
  const lesson = chapter
    ? join('chapters', chapter, 'README.md')
    : from === '/'
      ? 'README.md'
      : from.replace('/source/', '');
  const path = join(ROOT, lesson);
  if (!existsSync(path)) return lesson;
  const file = target.replace(/^\/source\//, '').replace(/^\/(\d\d-[^/]+)\/$/, 'chapters/$1/README.md');
  const href = target ? relative(dirname(lesson), file) : '';
  return `${lesson}:${lineOf(path, fragment ? `${href}#${fragment}` : href)}`;
}

/** How many files a written site has. */
export const filesIn = (out: string): number =>
  readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;
