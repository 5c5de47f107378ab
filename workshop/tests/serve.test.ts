import { request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chapterSlugs } from '../lesson.ts';
import { serveBook } from '../serve.ts';

let server: Server;
let url: string;
beforeAll(async () => void ({ server, url } = await serveBook(0)));
afterAll(() => void server.close());

const get = async (path: string) => {
  const response = await fetch(url + path, { redirect: 'manual' });
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
};

describe('the served workshop', () => {
  test('listens on loopback alone', () => {
    expect((server.address() as AddressInfo).address).toBe('127.0.0.1');
  });

  test('shows the start and every chapter, and every link and picture in them leads somewhere', async () => {
    const seen = new Set<string>();
    for (const path of ['/', ...chapterSlugs().map((slug) => `/${slug}/`)]) {
      const { status, text } = await get(path);
      expect(status, path).toBe(200);
      for (const [, href] of text.matchAll(/(?:href|src)="(\/[^"#]*)/g)) seen.add(href!);
    }
    expect(seen.size).toBeGreaterThan(10);
    for (const path of seen) expect((await get(path)).status, path).toBe(200);
  });

  test('answers 404 for what is not there, and for files outside the workshop', async () => {
    for (const path of [
      '/08-none/',
      '/source/chapters/none.ts',
      '/source/..%2f..%2fetc/passwd',
      '/source/.git/config',
    ])
      expect((await get(path)).status, path).toBe(404);
  });

  test('is not served under another name', async () => {
    const status = await new Promise((resolve, reject) =>
      request(url, { headers: { host: 'example.com' } }, (r) => resolve(r.resume().statusCode))
        .on('error', reject)
        .end(),
    );
    expect(status).toBe(403);
  });

  test('says so when the port is taken', async () => {
    const { port } = server.address() as AddressInfo;
    await expect(serveBook(port)).rejects.toThrow(`port ${port} of 127.0.0.1 is taken`);
  });
});
