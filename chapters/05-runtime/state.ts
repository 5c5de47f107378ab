import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno, readStat } from '../01-processes/index.ts';
import type { CgroupRecord } from './container-cgroup.ts';
import { remove } from './remove.ts';
import type { OciSpec } from './spec.ts';

/** The format of state.json; a runtime refuses one that it does not know. */
const STATE_VERSION = 1;

/** All that this runtime remembers of a container between two commands: `<root>/<id>/state.json`. */
export interface ContainerState extends CgroupRecord {
  version: typeof STATE_VERSION;
  id: string;
  /** Absolute path of the bundle. */
  bundle: string;
  /** Absolute path of the root file system. */
  rootfs: string;
  /** When it was made: RFC 3339, UTC. */
  created: string;
  /** The user who made it. */
  owner: string;
  /** Of the container's first process, as the host counts; 0 until it exists. */
  pid: number;
  /** When that process began, in clock ticks after boot: with the pid it names one process, though pids are used again. */
  startTime: number;
  spec: OciSpec;
  /** Only without a mount namespace of its own, see `removeMounts`. */
  mountsBefore?: number[];
}

/** Source: runtime-spec, runtime.md, "State"; `paused` is what runc adds. */
export type Status = 'created' | 'running' | 'paused' | 'stopped';

/** Where a container's state is kept. */
export const stateDirectory = (root: string, id: string): string => join(root, id);
export const fifoPath = (root: string, id: string): string => join(root, id, 'exec.fifo');

/**
 * @throws Error for an id that could lead out of the state's directory, or that nobody could type
 */
export function checkId(id: string): void {
  if (!/^[A-Za-z0-9_+.-]+$/.test(id) || id === '.' || id === '..' || id.length > 1024)
    throw new Error(`invalid container ID ${JSON.stringify(id)}: letters, digits and _ + - . are allowed`);
}

/** Claims an id: of two that try, one wins. @throws Error "container with given ID already exists" */
export function claimId(root: string, id: string): void {
  mkdirSync(root, { recursive: true, mode: 0o711 });
  try {
    mkdirSync(stateDirectory(root, id), { mode: 0o711 });
  } catch (error) {
    if (isErrno(error, 'EEXIST'))
      throw new Error('container with given ID already exists', { cause: undefined });
    throw error;
  }
}

/**
 * Writes the state whole or not at all: who reads meanwhile, or after this process has been killed, sees the old one or the new one. No fsync(2): that is for what
 * outlives the machine's next start, as no process, mount or cgroup does.
 */
export function saveState(root: string, state: ContainerState): void {
  const path = join(stateDirectory(root, state.id), 'state.json');
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, JSON.stringify(state), { mode: 0o600 }); // unlike write(2) it does not stop half way where a disk is nearly full
  renameSync(temporary, path);
}

/** @throws Error "container does not exist"; or that the state is of another version */
export function loadState(root: string, id: string): ContainerState {
  checkId(id);
  const path = join(stateDirectory(root, id), 'state.json');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR'))
      throw new Error('container does not exist', { cause: undefined });
    throw error;
  }
  const state = JSON.parse(text) as ContainerState;
  if (state.version !== STATE_VERSION)
    throw new Error(`${path} is of version ${String(state.version)}; this runtime knows ${STATE_VERSION}`);
  return state;
}

/** Every container below `root`, by id. A directory that is being made or removed is passed over. */
export function listStates(root: string): ContainerState[] {
  if (!existsSync(root)) return [];
  const ids = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return ids
    .map(({ name }) => name)
    .sort()
    .filter((id) => existsSync(join(stateDirectory(root, id), 'state.json')))
    .map((id) => loadState(root, id));
}

export const removeState = (root: string, id: string): void => remove(stateDirectory(root, id));

/** Whether the container's first process is still there, and no other that got its number. A zombie has ended. */
export function isInitAlive(state: Pick<ContainerState, 'pid' | 'startTime'>): boolean {
  if (state.pid <= 0) return false;
  const stat = readStat(state.pid);
  return stat !== undefined && stat.startTime === state.startTime && stat.state !== 'Z' && stat.state !== 'X';
}

/** The state as the specification has it, and runc prints it. Source: runtime-spec, runtime.md, "State". */
export interface OciState {
  ociVersion: string;
  id: string;
  /** 0 when it has stopped */
  pid: number;
  status: Status | 'creating';
  bundle: string;
  rootfs: string;
  created: string;
  annotations?: Record<string, string>;
  owner: string;
}

export function ociState(state: ContainerState, status: OciState['status']): OciState {
  return {
    ociVersion: state.spec.ociVersion,
    id: state.id,
    pid: status === 'stopped' ? 0 : state.pid,
    status,
    bundle: state.bundle,
    rootfs: state.rootfs,
    created: state.created,
    ...(state.spec.annotations && { annotations: state.spec.annotations }),
    owner: state.owner,
  };
}
