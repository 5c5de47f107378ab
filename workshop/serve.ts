import { readFileSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join, sep } from 'node:path';
import { chapterSlugs, contents, escapeHtml, renderChapter, renderReadme } from './lesson.ts';
import { address, errorPage, page } from './page.ts';

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
  const entry = contents().find((one) => address(one) === path);
  if (entry)
    return send(
      response,
      200,
      HTML,
      page(entry.slug ? renderChapter(entry.slug) : renderReadme(), contents()),
    );
  if (chapterSlugs().includes(path.slice(1)))
    return void response.writeHead(301, { location: `${path}/` }).end();
  if (path.startsWith('/source/')) return sendSource(response, path.slice('/source/'.length));
  send(response, 404, HTML, errorPage(`There is no ${path} here.`));
}

/** A picture, or the text of a file, of the folders that hold the workshop. */
function sendSource(response: ServerResponse, file: string): void {
  const path = join(ROOT, file);
  const inside = SERVED.some((top) => path === join(ROOT, top) || path.startsWith(join(ROOT, top) + sep));
  if (!inside || !statSync(path, { throwIfNoEntry: false })?.isFile())
    return send(response, 404, HTML, errorPage(`There is no ${file} here.`));
  const text = readFileSync(path, 'utf8');
  if (path.endsWith('.svg')) return send(response, 200, 'image/svg+xml', text);
  const html = `<h1>${escapeHtml(file)}</h1><pre><code>${escapeHtml(text)}</code></pre>`;
  send(
    response,
    200,
    HTML,
    page({ slug: 'source', title: escapeHtml(file), html, sections: [] }, contents()),
  );
}

const HTML = 'text/html; charset=utf-8';
const SERVED = [
  'chapters',
  'final',
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
