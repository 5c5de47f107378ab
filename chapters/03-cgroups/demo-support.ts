import { closeSync, mkdtempSync, readSync, rmSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import {
  dup2,
  execve,
  fork,
  getpid,
  pipe,
  readStat,
  waitAsync,
  type Step,
  type WaitStatus,
} from '../01-processes/index.ts';
import type { Cgroup } from './cgroup.ts';
import { createCgroup, openCgroup } from './create.ts';
import type { LinuxResources } from './resources.ts';

/** A function that makes cgroups below /NAME, each ended and removed with the step that made it. */
export const groupsOf =
  (name: string) =>
  (s: Step, part: string, resources?: LinuxResources): Cgroup => {
    const path = `/${name}/${part}`;
    s.cleanup(`kill and remove the cgroup ${path}`, () => {
      const cgroup = openCgroup(path);
      cgroup.kill();
      cgroup.remove();
    });
    return createCgroup(path, resources);
  };

/** Says what the kernel was told: write(2) returns how many bytes it took. */
export const wrote = (s: Step, file: string, text: string | number): void =>
  s.call(`write("${file}", "${text}")`, String(text).length);

/** A folder on a disk, taken away with the step: what is in a tmpfs can not be dropped from memory. */
export function diskFolder(s: Step): string {
  const folder = mkdtempSync('/var/tmp/ch03-demo-');
  s.cleanup(`remove ${folder}`, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * Starts a shell script that has joined the cgroup before its first line runs, and returns its process id when it does run. Not before: until
 * it has executed the shell, the child shares this program's signal handling, and a signal sent to the one would reach the other.
 */
export async function startIn(cgroup: Cgroup, script: string): Promise<number> {
  const pid = fork(() => {
    cgroup.add(getpid());
    execve('/bin/sh', ['sh', '-c', script], ['PATH=/bin:/usr/bin:/sbin:/usr/sbin']);
  });
  const own = readStat('self')!.comm;
  await eventually(() => readStat(pid)?.comm !== own);
  return pid;
}

/** Runs a script to its end and gives its status, and what it said on both streams. */
export async function runIn(
  cgroup: Cgroup | undefined,
  script: string,
): Promise<{ status: WaitStatus; said: string }> {
  const { read, write } = pipe();
  const pid = fork(() => {
    dup2(write, 1);
    dup2(write, 2);
    cgroup?.add(getpid());
    execve('/bin/sh', ['sh', '-c', script], ['PATH=/bin:/usr/bin:/sbin:/usr/sbin']);
  });
  closeSync(write);
  const status = await waitAsync(pid);
  const chunk = Buffer.alloc(65536);
  const said = chunk.toString('utf8', 0, readSync(read, chunk)).trim();
  closeSync(read);
  return { status, said };
}

/** Waits, without blocking, until something holds; false when it does not within twenty seconds. */
export async function eventually(holds: () => boolean): Promise<boolean> {
  for (let i = 0; i < 1000; i++) {
    if (holds()) return true;
    await setTimeout(20);
  }
  return false;
}

/** How a process ended, in words. */
export const ending = (status: WaitStatus): string =>
  status.kind === 'exited'
    ? `exited with status ${status.code}`
    : status.kind === 'signaled'
      ? `killed by signal ${status.signal}`
      : status.kind;
