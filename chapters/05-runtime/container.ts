import { existsSync, writeFileSync, renameSync } from 'node:fs';
import { isErrno, kill, readStat, SIGNALS } from '../01-processes/index.ts';
import type { Cgroup } from '../03-cgroups/index.ts';
import { recordedCgroup } from './container-cgroup.ts';
import type { Context } from './context.ts';
import { runHooks, sleep } from './hooks.ts';
import { describe } from './launch.ts';
import { log } from './log.ts';
import { removeMounts } from './shared-mounts.ts';
import {
  fifoPath,
  isInitAlive,
  loadState,
  ociState,
  removeState,
  type ContainerState,
  type Status,
} from './state.ts';

/** A container as it is now. */
export interface Container {
  state: ContainerState;
  cgroup: Cgroup;
  /** Asked of the kernel, not remembered. */
  status(): Status;
}

/** @throws Error "container does not exist" */
export function openContainer({ root }: Context, id: string): Container {
  return containerOf(root, loadState(root, id));
}

export function containerOf(root: string, state: ContainerState): Container {
  const cgroup = recordedCgroup(state);
  return {
    state,
    cgroup,
    status: () => {
      if (!isInitAlive(state)) return 'stopped';
      if (cgroup.exists() && cgroup.frozen()) return 'paused';
      return existsSync(fifoPath(root, state.id)) ? 'created' : 'running';
    },
  };
}

/**
 * Takes away what is left of a container: its processes, its cgroup, its state; and runs its poststop hooks. Whatever of it is gone already, or
 * was never made, is passed over. Nothing of the kernel's is left: namespaces and mounts end with the last process in them.
 */
export function destroy(context: Context, { state, cgroup }: Container): void {
  endInit(state, cgroup);
  // systemd may have removed the cgroup already, and kept the unit in mind.
  if (cgroup.exists() || cgroup.driver === 'systemd') removeCgroup(context, state, cgroup);
  removeMounts(state.rootfs, state.mountsBefore);
  try {
    runHooks('poststop', state.spec.hooks?.poststop, ociState(state, 'stopped'));
  } catch (error) {
    log(context.log, 'warning', describe(error)); // the specification: log it, and go on
  }
  removeState(context.root, state.id);
}

/**
 * Ends what is left in the cgroup. With a pid namespace of its own the container has ended as a whole already: whoever else is there is not the
 * container's, and keeps the cgroup.
 */
function removeCgroup(context: Context, { spec }: ContainerState, cgroup: Cgroup): void {
  const ownPids = spec.linux?.namespaces?.some(({ type, path }) => type === 'pid' && !path);
  if (!ownPids) cgroup.kill();
  try {
    cgroup.remove();
  } catch (error) {
    if (!ownPids || cgroup.pids().length === 0) throw error;
    log(context.log, 'warning', `the container's cgroup stays: processes of others are in it`);
  }
}

/** The first process takes all others of its pid namespace with it. It may be out of the cgroup: then this alone ends it. */
function endInit(state: ContainerState, cgroup: Cgroup): void {
  if (!isInitAlive(state)) return;
  signalInit(state, SIGNALS['SIGKILL']!);
  // On v1 a frozen process does not even die.
  if (cgroup.exists() && cgroup.frozen()) cgroup.thaw();
  for (let tries = 0; isInitAlive(state) && tries < 1000; tries++) sleep(5);
}

/** @throws SyscallError; not when it has just ended */
export function signalInit(state: ContainerState, signal: number): void {
  try {
    kill(state.pid, signal);
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}

/** When a process began: with its pid its name for ever. 0 when it has ended already. */
export const startTimeOf = (pid: number): number => readStat(pid)?.startTime ?? 0;

/** For --pid-file: whole or not at all. */
export function writePidFile(path: string, pid: number): void {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, String(pid), { mode: 0o644 });
  renameSync(temporary, path);
}
