import { open, rm, utimes } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { invalidArgument, quoted } from './errors.ts';
import { gathered } from './pieces.ts';
import { Unreachable } from './registry-error.ts';
import { openHttp, readBody, where, type HttpAnswer, type HttpOptions } from './registry-http.ts';

/** What a server says when it refuses is short; more of it is not shown. Bytes. */
const REASON = 1024;

/** Whether a source of ADD lies elsewhere. */
export const isAddress = (source: string): boolean => /^https?:\/\//i.test(source);

/**
 * Fetches a file into a folder, straight to the disk, for root's eyes alone. It has the time that the server says it was changed, or
 * 1970: the same file is then the same to the cache of a build, whenever it was fetched. Proxies are those of the environment.
 * Source: moby, builder/dockerfile/copy.go, downloadSource.
 * @returns its name: the last part of the address, or what the server calls it
 * @throws StoreError INVALID_ARGUMENT in Docker's words when the server refuses or it has no name; Unreachable
 */
export async function downloadFile(
  address: string,
  dir: string,
  { signal, ...options }: { signal?: AbortSignal } & Pick<HttpOptions, 'environment' | 'stall'> = {},
): Promise<string> {
  if (!URL.canParse(address)) throw invalidArgument(`${quoted(address)} is no address`);
  const url = new URL(address);
  const http = openHttp(options);
  try {
    const answer = await http.follow({ method: 'GET', url, signal });
    if (answer.status >= 400) throw await refusal(answer, address);
    const name = nameOf(url, answer);
    const file = await open(join(dir, name), 'wx', 0o600);
    try {
      for await (const piece of gathered(answer.body as AsyncIterable<Buffer>)) await file.write(piece);
    } catch (error) {
      await rm(join(dir, name));
      signal?.throwIfAborted();
      if (error instanceof Error && 'syscall' in error && error.syscall === 'write') throw error; // the disk's affair
      throw new Unreachable(`GET ${where(url)}`, error);
    } finally {
      await file.close();
    }
    const changed = Date.parse(answer.headers['last-modified'] ?? '');
    const time = Number.isNaN(changed) ? 0 : changed / 1000;
    await utimes(join(dir, name), time, time);
    return name;
  } finally {
    http.close();
  }
}

async function refusal(answer: HttpAnswer, address: string): Promise<Error> {
  const said = await readBody(answer, REASON).then(String, () => '');
  return invalidArgument(
    `failed to GET ${address} with status ${answer.status} ${answer.body.statusMessage ?? ''}: ${said.trim()}`,
  );
}

/** @throws StoreError INVALID_ARGUMENT */
function nameOf(url: URL, { headers }: HttpAnswer): string {
  const said = /\bfilename="?([^";]+)"?/i.exec(headers['content-disposition'] ?? '')?.[1];
  for (const path of [decoded(url.pathname), said ?? '/']) {
    const name = path.endsWith('/') ? '' : basename(path);
    if (name !== '' && name !== '.' && name !== '..' && !name.includes('\0')) return name;
  }
  throw invalidArgument(`cannot determine filename for source ${url.href}`);
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // a percent sign that means itself
  }
}
