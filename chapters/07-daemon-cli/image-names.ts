import { randomBytes } from 'node:crypto';
import { familiarString, parseReference } from '../04-overlayfs/index.ts';
import { isGrpcError } from '../06-shim-containerd/index.ts';
import { badParameter } from './api-error.ts';
import type { Daemon } from './daemon.ts';
import { namelessName, type LocalImage } from './images.ts';

/**
 * Points a name at an image. What it pointed at before stays, nameless, if nothing else names it.
 * @returns the image that had the name before, if that is another
 * @throws ApiError 400 for a name that would be read as a digest
 */
export async function nameImage(
  daemon: Daemon,
  name: string,
  target: LocalImage['target'],
): Promise<LocalImage | undefined> {
  const { containerd } = daemon;
  if (/^sha(256|384|512)[:@]/.test(shown(name)))
    throw badParameter('refusing to create an ambiguous tag using digest algorithm as name');
  const before = (await daemon.images.all()).find((image) => image.names.includes(name));
  if (before?.target.digest === target.digest) return undefined;
  if (before?.names.length === 1) await keepNameless(daemon, before.target);
  const image = { name, target };
  if (before) await containerd.images.update({ image, updateMask: { paths: ['target'] } });
  else await containerd.images.create({ image });
  const nameless = namelessName(target.digest);
  await containerd.images.delete({ name: nameless }).catch((error: unknown) => {
    if (!isGrpcError(error, 'NotFound')) throw error;
  });
  return before;
}

/** Has an image stay that no name of people's points at. */
export const keepNameless = (daemon: Daemon, target: LocalImage['target']): Promise<void> =>
  keepAs(daemon, namelessName(target.digest), target);

/** Gives an image a name that is the engine's own; it may have it already. */
export async function keepAs(
  { containerd }: Daemon,
  name: string,
  target: LocalImage['target'],
): Promise<void> {
  await containerd.images.create({ image: { name, target } }).catch((error: unknown) => {
    if (!isGrpcError(error, 'AlreadyExists')) throw error;
  });
}

/** `app:1`, from the full name. */
export const shown = (name: string): string => familiarString(parseReference(name));

/** Has containerd look for what nothing needs any more: it does when a lease ends. */
export const collectGarbage = (daemon: Daemon): Promise<void> => withLease(daemon, async () => undefined);

/**
 * Runs `work` under a lease of its own: what comes into containerd meanwhile is not collected, whoever else is at work. When it ends,
 * well or badly, what nothing names by then is garbage.
 */
export async function withLease<T>({ containerd }: Daemon, work: (lease: string) => Promise<T>): Promise<T> {
  const id = `image-${randomBytes(8).toString('hex')}`;
  // A daemon that is killed leaves its lease: that one ends by itself.
  const expire = new Date(Date.now() + 24 * 3600 * 1000).toISOString();
  await containerd.leases.create({ id, labels: { 'containerd.io/gc.expire': expire } });
  try {
    return await work(id);
  } finally {
    await containerd.leases.delete({ id });
  }
}
