import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno } from '../01-processes/index.ts';
import { readState, unmountAll, writeFileAtomic, writeState, type Versioned } from '../04-overlayfs/index.ts';
import { GrpcError } from './grpc-errors.ts';

/**
 * The folder of one running container, an OCI bundle: `config.json`, `rootfs/` on which the shim mounts, `log` (a fifo on which
 * the shim reports), `address` (the shim's socket), `work` (what may outlive a restart of the machine).
 */
export interface TaskBundle {
  namespace: string;
  id: string;
  path: string;
  /** The shim's program: who it was is needed when it is gone. */
  shim: string;
}

interface BundleState extends Versioned {
  shim: string;
}

const VERSION = 1;
const KIND = 'io.containerd.runtime.v2.task';
const OURS = 'mycontainerd.json';

/** Where the bundles are: STATE/io.containerd.runtime.v2.task/NAMESPACE/ID, and their work folders in ROOT. */
export interface BundlePlaces {
  root: string;
  state: string;
}

/**
 * Makes a bundle.
 * @throws GrpcError AlreadyExists
 */
export async function createBundle(
  { root, state }: BundlePlaces,
  { namespace, id, shim, spec }: { namespace: string; id: string; shim: string; spec: Uint8Array },
): Promise<TaskBundle> {
  const path = join(state, KIND, namespace, id);
  const work = join(root, KIND, namespace, id);
  mkdirSync(join(state, KIND, namespace), { recursive: true, mode: 0o711 });
  try {
    mkdirSync(path, { mode: 0o711 });
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
    throw new GrpcError('AlreadyExists', `bundle ${path}: already exists`, { cause: error });
  }
  try {
    mkdirSync(join(path, 'rootfs'), { mode: 0o711 });
    mkdirSync(work, { recursive: true, mode: 0o711 });
    symlinkSync(work, join(path, 'work'));
    const known: BundleState = { version: VERSION, shim };
    await writeState(join(path, OURS), known);
    await writeFileAtomic(join(path, 'config.json'), spec);
    return { namespace, id, path, shim };
  } catch (error) {
    removeBundle({ root, state }, { namespace, id, path, shim });
    throw error;
  }
}

/**
 * Removes a bundle. Its rootfs is unmounted first, and must then be empty: nothing below a mount is ever removed.
 * @throws SyscallError, Error EBUSY when it is still mounted
 */
export function removeBundle({ root }: BundlePlaces, { namespace, id, path }: TaskBundle): void {
  const rootfs = join(path, 'rootfs');
  if (existsSync(rootfs)) {
    unmountAll(rootfs);
    rmdirSync(rootfs);
  }
  rmSync(path, { recursive: true, force: true });
  rmSync(join(root, KIND, namespace, id), { recursive: true, force: true });
}

/** The bundles that are there, of a server that ran before. */
export async function findBundles({ state }: BundlePlaces): Promise<TaskBundle[]> {
  const bundles: TaskBundle[] = [];
  for (const namespace of directoriesIn(join(state, KIND)))
    for (const id of directoriesIn(join(state, KIND, namespace))) {
      const path = join(state, KIND, namespace, id);
      const known = await readState<BundleState>(join(path, OURS), VERSION);
      bundles.push({ namespace, id, path, shim: known?.shim ?? '' });
    }
  return bundles;
}

/**
 * The address of the bundle's shim, or undefined where none was started. A `start` that is still at work, for a server that was killed
 * meanwhile, is waited for: its shim would be there when nobody looks for it any more.
 */
export async function findShimAddress(bundle: TaskBundle): Promise<string | undefined> {
  for (let waited = 0; waited < STARTING; waited += PAUSE) {
    const address = readAddress(bundle);
    if (address !== undefined || !isAtWork(bundle)) return address ?? readAddress(bundle);
    await sleep(PAUSE);
  }
  return undefined;
}

/** A start that takes longer is stuck. Milliseconds. */
const STARTING = 10_000;
const PAUSE = 50;

/** Whether a process has the bundle as its working directory: that is how shims are started. */
function isAtWork({ path }: TaskBundle): boolean {
  return readdirSync('/proc').some((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`) === path;
    } catch {
      return false; // ended meanwhile
    }
  });
}

function readAddress({ path }: TaskBundle): string | undefined {
  try {
    return readFileSync(join(path, 'address'), 'utf8').trim() || undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

const directoriesIn = (path: string): string[] =>
  existsSync(path)
    ? readdirSync(path, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name)
    : [];
