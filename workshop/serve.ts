import { readFileSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join, sep } from 'node:path';
import { highlight } from './highlight.ts';
import {
  chapterSlugs,
  contents,
  escapeHtml,
  renderChapter,
  renderLesson,
  renderReadme,
  type Lesson,
} from './lesson.ts';
import { address, errorPage, page } from './page.ts';
import { searchIndex } from './search.ts';

const ROOT = join(import.meta.dirname, '..');

/**
 * Serves the workshop's pages on loopback: `/` is the README, `/NN-name/` a chapter. Pages are made anew for each request, so that
 * an edited lesson shows on reload.
 * @throws Error (rejects) when the port is taken, saying so
 */
export function serveBook(port: number): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => {
    try {
      answer(request, response);
    } catch (error) {
      send(response, 500, 'text/html', errorPage(error instanceof Error ? error.message : String(error)));
    }
  });
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new Error(`port ${port} of 127.0.0.1 is taken: give another one with --port`)
          : error,
      ),
    );
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      const actual = typeof address === 'object' && address ? address.port : port;
      resolve({ server, url: `http://127.0.0.1:${actual}` });
    });
  });
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return send(response, 405, HTML, errorPage('Pages are read with GET.'));
  // Another site's name that resolves to loopback must not reach these pages.
  const host = request.headers.host ?? '';
  if (!/^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(host))
    return send(response, 403, HTML, errorPage(`Not served as ${host}.`));
  const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
  if (chapterSlugs().includes(path.slice(1)))
    return void response.writeHead(301, { location: `${path}/` }).end();
  const result = found(path);
  if (result) return send(response, 200, result.type, result.body);
  send(response, 404, HTML, errorPage(`There is no ${path} here.`));
}

/** What is at an address: a lesson, a picture, a source file as a page; undefined where there is nothing. */
export function found(path: string): { type: string; body: string } | undefined {
  const all = contents();
  const entry = all.find((one) => address(one) === path);
  if (entry) return { type: HTML, body: page(entry.slug ? renderChapter(entry.slug) : renderReadme(), all) };
  if (path === '/book.js')
    return { type: SCRIPT, body: readFileSync(join(ROOT, 'workshop/book.js'), 'utf8') };
  if (path === '/search.js') return { type: SCRIPT, body: searchIndex() };
  return path.startsWith('/source/') ? source(path.slice('/source/'.length)) : undefined;
}

/** A picture, or the text of a file, of the folders that hold the workshop. */
function source(file: string): { type: string; body: string } | undefined {
  const path = join(ROOT, file);
  const inside = SERVED.some((top) => path === join(ROOT, top) || path.startsWith(join(ROOT, top) + sep));
  if (!inside || !statSync(path, { throwIfNoEntry: false })?.isFile()) return undefined;
  if (path.endsWith('.svg')) return { type: 'image/svg+xml', body: readFileSync(path, 'utf8') };
  const lesson = path.endsWith('.md')
    ? renderLesson(path, 'source')
    : plainPage(file, readFileSync(path, 'utf8'));
  return { type: HTML, body: page(lesson, contents()) };
}

const plainPage = (file: string, text: string): Lesson => ({
  slug: 'source',
  title: escapeHtml(file),
  html: `<h1>${escapeHtml(file)}</h1>${file.endsWith('.ts') ? highlight(text, 'ts') : `<pre><code>${escapeHtml(text)}</code></pre>`}`,
  sections: [],
});

const SCRIPT = 'text/javascript; charset=utf-8';
const HTML = 'text/html; charset=utf-8';
const SERVED = [
  'chapters',
  'final',
  'README.md',
  'workshop',
  'vagrant',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'LICENSE',
  'package.json',
];

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
}
