import { lstatSync, statSync } from 'node:fs';
import { basename, dirname, join, posix, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { applyLayer, readTar, treeEntries, writeTar, type TarInput } from '../04-overlayfs/index.ts';
import { DaemonError, type ApiClient } from './api-client.ts';
import { CommandError, part, print, type CliCommand } from './cli-command.ts';

export const cp: CliCommand<{ quiet?: boolean }> = {
  name: 'cp',
  aliases: ['container cp'],
  usage: '[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n  mydocker cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH',
  summary: 'Copy files/folders between a container and the local filesystem',
  operands: [2, 2],
  options: [{ flags: '-q, --quiet', help: 'Suppress progress output during copy' }],
  async run(api, [source, destination]) {
    const [from, to] = [split(source!), split(destination!)];
    if (from.container && to.container) throw new CommandError('copying between containers is not supported');
    if (!from.container && !to.container)
      throw new CommandError('must specify at least one container source');
    if (from.container) await copyOut(api, from.container, from.path, to.path);
    else await copyIn(api, from.path, to.container!, to.path);
  },
};

/** `name:/path`; what begins with a dot or a slash is a path of this machine, colon or not. */
function split(argument: string): { container?: string; path: string } {
  const colon = argument.indexOf(':');
  if (/^[./]/.test(argument) || colon < 1) return { path: argument };
  return { container: argument.slice(0, colon), path: argument.slice(colon + 1) || '/' };
}

interface PathStat {
  name: string;
  mode: number;
  linkTarget: string;
}
const isDirectory = ({ mode }: PathStat): boolean => mode >= 2 ** 31;

const archive = (container: string): string => `/containers/${part(container)}/archive`;

/** What a path in a container is, a link at its end followed; `undefined`: nothing. */
async function statInside(
  api: ApiClient,
  container: string,
  path: string,
  hops = 0,
): Promise<PathStat | undefined> {
  try {
    const answer = await api.request('HEAD', archive(container), { query: { path } });
    answer.resume();
    const header = String(answer.headers['x-docker-container-path-stat']);
    const stat = JSON.parse(Buffer.from(header, 'base64').toString()) as PathStat;
    if (!stat.linkTarget || hops === 8) return stat;
    return await statInside(api, container, posix.resolve(posix.dirname(path), stat.linkTarget), hops + 1);
  } catch (error) {
    if (error instanceof DaemonError && error.status === 404 && !/No such container/.test(error.reason))
      return undefined;
    throw error;
  }
}

async function copyOut(api: ApiClient, container: string, path: string, destination: string): Promise<void> {
  const answer = await api.request('GET', archive(container), { query: { path } });
  if (destination === '-') {
    await pipeline(answer, process.stdout, { end: false });
    return;
  }
  const target = statSync(destination, { throwIfNoEntry: false });
  if (!target && destination.endsWith('/'))
    throw new CommandError(`destination directory ${JSON.stringify(destination)} must exist`);
  const into = target?.isDirectory() ? resolve(destination) : dirname(resolve(destination));
  if (!statSync(into, { throwIfNoEntry: false })?.isDirectory())
    throw new CommandError(`invalid output path: directory ${JSON.stringify(into)} does not exist`);
  const entries = target?.isDirectory() ? answer : writeTar(renamed(answer, basename(resolve(destination))));
  await applyLayer(entries, into, { whiteouts: 'keep', keepKinds: true });
  print(`Successfully copied ${container}:${path} to ${resolve(destination)}`);
}

async function copyIn(api: ApiClient, source: string, container: string, destination: string): Promise<void> {
  if (source === '-') return send(api, container, destination, process.stdin);
  const stat = lstatSync(source, { throwIfNoEntry: false });
  if (!stat) throw new CommandError(`lstat ${source}: no such file or directory`);
  const target = await statInside(api, container, destination);
  const content = source.endsWith('/.');
  if (!target && destination.endsWith('/') && !stat.isDirectory())
    throw new CommandError(`no such directory: ${container}:${destination}`);
  if (target && !isDirectory(target) && stat.isDirectory()) throw new CommandError('cannot copy directory');
  const [into, name] =
    target && isDirectory(target)
      ? [destination, content ? '.' : basename(resolve(source))]
      : [posix.dirname(posix.resolve('/', destination)), posix.basename(posix.resolve('/', destination))];
  await send(
    api,
    container,
    into,
    Readable.from(writeTar(treeEntries(resolve(source), name)), { objectMode: false }),
  );
  print(`Successfully copied ${source} to ${container}:${destination}`);
}

async function send(
  api: ApiClient,
  container: string,
  path: string,
  body: NodeJS.ReadableStream,
): Promise<void> {
  const answer = await api.request('PUT', archive(container), {
    query: { path, noOverwriteDirNonDir: true },
    headers: { 'Content-Type': 'application/x-tar' },
    body,
  });
  answer.resume();
}

/** Entries under another top: `docker cp c:/a b` makes `b` of `a`. */
async function* renamed(source: AsyncIterable<Uint8Array>, top: string): AsyncGenerator<TarInput> {
  const rename = (name: string): string => join(top, ...name.split('/').filter(Boolean).slice(1));
  for await (const { header, body } of readTar(source)) {
    const name = rename(header.name);
    const linkname = header.type === 'link' ? rename(header.linkname) : header.linkname;
    yield { header: { ...header, name, linkname }, body };
  }
}
