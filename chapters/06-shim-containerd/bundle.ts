import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import type { RuncOptions } from './task-api.ts';

/**
 * What the shim leaves in a container's bundle for those who come after it: `delete`, which runs when the shim is dead, must know which
 * runtime made the container.
 */
export interface ShimState {
  version: 1;
  /** the OCI runtime: a path or a name */
  binary: string;
  /** its --root */
  root: string;
  systemdCgroup: boolean;
}

const STATE_FILE = 'shim.json';

export function writeShimState(bundle: string, state: ShimState): void {
  writeWhole(join(bundle, STATE_FILE), JSON.stringify(state));
}

/** undefined when no container was made. */
export function readShimState(bundle: string): ShimState | undefined {
  try {
    const state = JSON.parse(readFileSync(join(bundle, STATE_FILE), 'utf8')) as ShimState;
    if (state.version !== 1)
      throw new Error(`${bundle}/${STATE_FILE}: version ${state.version}: this shim reads 1`);
    return state;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Which runtime a container gets: what Create's options say, else `myrunc` beside this program, else along PATH. */
export function chooseRuntime(
  bundle: string,
  namespace: string,
  options: Partial<RuncOptions>,
  programDirectory: string,
): ShimState {
  const beside = join(programDirectory, 'myrunc');
  return {
    version: 1,
    binary: options.binaryName || (existsSync(beside) ? beside : 'myrunc'),
    root: join(options.root || join(stateDirectory(bundle), 'runc'), namespace),
    systemdCgroup: options.systemdCgroup ?? false,
  };
}

/**
 * containerd's state directory (/run/containerd), to which bundles belong: STATE/io.containerd.runtime.v2.task/NAMESPACE/ID. A daemon with
 * a state directory of its own so gets shims that share nothing with another's.
 */
export function stateDirectory(bundle: string): string {
  const tasks = dirname(dirname(bundle));
  return basename(tasks) === 'io.containerd.runtime.v2.task' ? dirname(tasks) : '/run/containerd';
}

/** Replaces a file in one step. */
export function writeWhole(path: string, text: string): void {
  const temporary = join(dirname(path), `.${process.pid}.${basename(path)}`);
  writeFileSync(temporary, text, { mode: 0o600, flush: true });
  renameSync(temporary, path);
}
