import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { downloadFile } from '../index.ts';
import { scratch } from './scratch.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function serving(answer: RequestListener): Promise<string> {
  server = createServer(answer);
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('a file is fetched under its name, with the server’s time, for root alone', async () => {
  const modified = 'Wed, 21 Oct 2015 07:28:00 GMT';
  const base = await serving((request, response) => {
    if (request.url === '/moved') return void response.writeHead(302, { Location: '/a%20file?x=1' }).end();
    response.writeHead(200, { 'Last-Modified': modified }).end('content');
  });
  const dir = scratch();
  expect(await downloadFile(`${base}/d/a%20file?x=1`, dir)).toBe('a file');
  const { mode, mtimeMs } = statSync(join(dir, 'a file'));
  expect([mode & 0o7777, mtimeMs]).toEqual([0o600, Date.parse(modified)]);
  // A redirection changes where it is, not what it is called.
  expect(await downloadFile(`${base}/moved`, dir)).toBe('moved');
  expect(readFileSync(join(dir, 'moved'), 'utf8')).toBe('content');
});

test('without a time it is of 1970, so that it is the same to a cache; the server may name it', async () => {
  const base = await serving((_, response) => {
    response.writeHead(200, { 'Content-Disposition': 'attachment; filename="../../named"' }).end('x');
  });
  const dir = scratch();
  expect(await downloadFile(`${base}/`, dir)).toBe('named');
  expect(statSync(join(dir, 'named')).mtimeMs).toBe(0);
  expect(readdirSync(dir)).toEqual(['named']);
});

test('a refusal says what the server said; a name is needed; what breaks off is an error', async () => {
  const base = await serving((request, response) => {
    if (request.url === '/none') return void response.writeHead(404).end('no such file');
    response.writeHead(200, { 'Content-Length': 100 }).write('half');
    if (request.url === '/half') setTimeout(() => response.destroy(), 50);
  });
  const dir = scratch();
  await expect(downloadFile(`${base}/none`, dir)).rejects.toThrow(
    `failed to GET ${base}/none with status 404 Not Found: no such file`,
  );
  await expect(downloadFile(`${base}/`, dir)).rejects.toThrow('cannot determine filename for source');
  await expect(downloadFile(`${base}/..%2f`, dir)).rejects.toThrow('cannot determine filename');
  await expect(downloadFile(`${base}/half`, dir)).rejects.toMatchObject({ name: 'Unreachable' });
});
