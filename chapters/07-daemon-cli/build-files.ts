import { closeSync, constants, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { posix } from 'node:path';
import { randomBytes } from 'node:crypto';
import { fdPath, mkdirAllInRoot, O_PATH, openInRootIfThere } from '../02-namespaces/index.ts';
import {
  applyLayer,
  chainIds,
  decompress,
  digestOfCopies,
  downloadFile,
  findCopies,
  isAddress,
  layersOf,
  MEDIA_TYPE,
  openMounts,
  operands,
  writeTar,
  type Copies,
  type CopyRequest,
  type Digest,
  type Instruction,
} from '../04-overlayfs/index.ts';
import { badParameter } from './api-error.ts';
import { imageFor } from './build-images.ts';
import { defaultsOf, variablesOf, type Build, type StageState } from './build-state.ts';
import { SNAPSHOTTER } from './images.ts';
import { readInRoot } from './in-root.ts';
import { explain } from './log.ts';
import type { NewLayer } from './make-image.ts';
import { lookUpUser } from './passwd.ts';

const topOf = ({ config }: StageState): string => chainIds(config.rootfs.diff_ids).at(-1) ?? '';

/** Shows a stage's files, read only, in a place that nobody else sees. */
export async function withFiles<T>(
  { daemon, lease }: Build,
  state: StageState,
  look: (root: string) => Promise<T>,
): Promise<T> {
  const { snapshots } = daemon.containerd;
  const snapshot = { snapshotter: SNAPSHOTTER, key: `build-${randomBytes(8).toString('hex')}` };
  const { mounts } = await snapshots.view({ ...snapshot, parent: topOf(state) }, { lease });
  try {
    const handle = openMounts(mounts);
    try {
      return await look(`${fdPath(handle)}/`);
    } finally {
      closeSync(handle);
    }
  } finally {
    await snapshots.remove(snapshot);
  }
}

/** Changes a stage's files, and makes a layer of what has changed; `undefined` when nothing has. */
export async function layerOf(
  { daemon, lease }: Build,
  state: StageState,
  change: (rootFd: number) => Promise<void>,
): Promise<NewLayer | undefined> {
  const { snapshots, diff } = daemon.containerd;
  const snapshot = { snapshotter: SNAPSHOTTER, key: `build-${randomBytes(8).toString('hex')}` };
  const { mounts } = await snapshots.prepare({ ...snapshot, parent: topOf(state) }, { lease });
  try {
    const handle = openMounts(mounts);
    try {
      await change(handle);
    } finally {
      closeSync(handle);
    }
    if (readdirSync(layersOf(mounts).upper).length === 0) return undefined;
    const made = await diff.diff(
      { right: mounts, mediaType: MEDIA_TYPE.layer, ref: snapshot.key },
      { lease },
    );
    const { digest, size, annotations } = made.diff!;
    return {
      descriptor: { mediaType: MEDIA_TYPE.layer, digest: digest as Digest, size },
      diffId: annotations['containerd.io/uncompressed'] as Digest,
    };
  } finally {
    await snapshots.remove(snapshot);
  }
}

/** WORKDIR makes its directory. */
export const makeDirectory = (build: Build, state: StageState, path: string): Promise<NewLayer | undefined> =>
  layerOf(build, state, async (rootFd) => closeSync(mkdirAllInRoot(rootFd, path)));

export interface FileStep {
  /** What the step is, with the digest of its files: `COPY file:… in /app/`. */
  text: string;
  run(): Promise<NewLayer | undefined>;
}

/** A COPY or an ADD: finds its files, and does `use` with the step while they are held. */
export async function withCopies<T>(
  build: Build,
  state: StageState,
  instruction: Instruction,
  use: (step: FileStep) => Promise<T>,
): Promise<T> {
  const { name, flags, line } = instruction;
  const given = operands(instruction, variablesOf(state), build.escape);
  const destination = given.pop();
  if (destination === undefined || given.length === 0)
    throw badParameter(
      `dockerfile parse error on line ${line}: ${name} requires at least two arguments, but only one was provided`,
    );
  const from = flags['from']?.at(-1);
  const place = absolute(defaultsOf(state).WorkingDir, destination);
  const chown = flags['chown']?.at(-1);
  const about = await withFiles(build, state, async (root) => ({
    intoDirectory: isDirectory(root, place),
    owner: ownerOf(root, chown),
  }));
  const octal = flags['chmod']?.at(-1);
  if (octal !== undefined && !/^0?[0-7]{3,4}$/.test(octal))
    throw badParameter(`${name} --chmod=${octal}: give an octal number such as 644`);
  const mode = octal === undefined ? undefined : parseInt(octal, 8);
  const request = { destination: place, ...about, mode, instruction: name };
  const downloads = await fetchSources(build, name, given);
  const work = async (root: string): Promise<T> => {
    const copies = findCopies({ root, sources: downloads.sources, ...request });
    try {
      // Docker's line of history to the letter, the missing space included.
      const owner = chown === undefined ? '' : `--chown=${chown}`;
      const text = `${name} ${owner}${kindOf(root, given)}${await digestOfCopies(copies)} in ${destination} `;
      // What was fetched stays as it is, even a tar.
      const unpackTo = name === 'ADD' && !given.some(isAddress) ? place : undefined;
      return await use({
        text,
        run: () => layerOf(build, state, (rootFd) => copyInto(rootFd, copies, unpackTo)),
      });
    } finally {
      copies.close();
    }
  };
  try {
    if (from === undefined) return await work(build.context.root);
    const source = build.done.get(from.toLowerCase()) ?? (await imageAsStage(build, from));
    return await withFiles(build, source, work);
  } finally {
    downloads.remove();
  }
}

/** What Docker puts before the digest of what is copied: nothing where it was fetched. */
function kindOf(root: string, given: readonly string[]): string {
  if (given.length > 1) return 'multi:';
  if (isAddress(given[0]!)) return '';
  return isDirectory(root, given[0]!) ? 'dir:' : 'file:';
}

/** An image that `--from` names, which is no stage of this build. @throws ApiError */
async function imageAsStage(build: Build, name: string): Promise<StageState> {
  const { id, config } = await imageFor(build, name).catch((error: unknown) => {
    throw badParameter(`invalid from flag value ${name}: ${explain(error)}`, error);
  });
  return { id, config, layers: [], args: new Map(), author: '', cached: true };
}

/** Fetches what an ADD names by its address, into folders that go with `remove`. @throws in Docker's words */
async function fetchSources(
  { context, signal }: Build,
  name: string,
  given: readonly string[],
): Promise<{ sources: CopyRequest['sources']; remove: () => void }> {
  const folders: string[] = [];
  const remove = (): void => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true }));
  try {
    const sources: (string | { root: string; path: string })[] = [];
    for (const source of given) {
      if (!isAddress(source)) {
        sources.push(source);
        continue;
      }
      if (name !== 'ADD') throw badParameter(`${name} failed: source can't be a URL for ${name}`);
      const root = mkdtempSync(`${context.root}-download-`);
      folders.push(root);
      const path = await downloadFile(source, root, { signal }).catch((error: unknown) => {
        throw badParameter(`${name} failed: ${explain(error)}`, error);
      });
      sources.push({ root, path });
    }
    return { sources, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

const absolute = (workingDir: string | undefined, path: string): string =>
  `${posix.resolve('/', workingDir || '/', path)}${/(\/|\/\.|^\.)$/.test(path) ? '/' : ''}`;

function isDirectory(root: string, path: string): boolean {
  const rootFd = openSync(root, O_PATH);
  try {
    const fd = openInRootIfThere(rootFd, path, { flags: O_PATH | constants.O_DIRECTORY });
    if (fd !== undefined) closeSync(fd);
    return fd !== undefined;
  } catch {
    return false;
  } finally {
    closeSync(rootFd);
  }
}

function ownerOf(root: string, user = '0:0'): { uid: number; gid: number } {
  const accounts = { passwd: readInRoot(root, '/etc/passwd'), group: readInRoot(root, '/etc/group') };
  // A number alone stands for the group, too.
  return lookUpUser(/^\d+$/.test(user) ? `${user}:${user}` : user, accounts);
}

/** Lays the copies into a root. ADD unpacks what is a tar by itself. */
async function copyInto(rootFd: number, { entries }: Copies, unpackTo: string | undefined): Promise<void> {
  const [only] = entries;
  if (
    unpackTo !== undefined &&
    entries.length === 1 &&
    only?.body &&
    (await isTar(only.body as AsyncIterable<Uint8Array>))
  ) {
    const below = unpackTo.replace(/^\/+|\/+$/g, '');
    closeSync(mkdirAllInRoot(rootFd, below));
    await applyLayer(only.body as AsyncIterable<Uint8Array>, rootFd, { whiteouts: 'keep', below });
    return;
  }
  await applyLayer(writeTar(entries), rootFd, { whiteouts: 'keep' });
}

/** Whether bytes are a tar, compressed or not: told by its magic. */
async function isTar(body: AsyncIterable<Uint8Array>): Promise<boolean> {
  try {
    let start = Buffer.alloc(0);
    for await (const chunk of decompress(body)) {
      start = Buffer.concat([start, chunk]);
      if (start.length >= 512) break;
    }
    return start.toString('latin1', 257, 262) === 'ustar';
  } catch {
    return false;
  }
}
