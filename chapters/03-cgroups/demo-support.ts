import { closeSync, mkdtempSync, readSync, rmSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import {
  dup2,
  execve,
  fork,
  getpid,
  pipe,
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

/** What a shell of the demo finds in its environment. */
const ENVIRONMENT = ['PATH=/bin:/usr/bin:/sbin:/usr/sbin'];

/** Starts a shell script in the cgroup, and returns its process id when it runs there. */
export const startIn = (cgroup: Cgroup, script: string): number => shellIn(cgroup, script, () => undefined);

/** Runs a script to its end and gives its status, and what it said on both streams. */
export async function runIn(
  cgroup: Cgroup | undefined,
  script: string,
): Promise<{ status: WaitStatus; said: string }> {
  const { read, write } = pipe();
  const pid = shellIn(cgroup, script, () => {
    dup2(write, 1);
    dup2(write, 2);
  });
  closeSync(write);
  const status = await waitAsync(pid);
  const chunk = Buffer.alloc(65536);
  const said = chunk.toString('utf8', 0, readSync(read, chunk)).trim();
  closeSync(read);
  return { status, said };
}

/**
 * Forks a shell that has joined the cgroup before the script's first line runs. When this returns it is in there and has begun its program. The
 * event loop stands still until then, so that no Ctrl-C ends the cgroup before there is somebody in it; and a signal that is sent to the shell
 * from then on reaches the shell, and not this program, whose signal handling the child shares until it executes.
 */
function shellIn(cgroup: Cgroup | undefined, script: string, prepare: () => void): number {
  const begun = pipe();
  const pid = fork(() => {
    closeSync(begun.read);
    prepare();
    cgroup?.add(getpid());
    execve('/bin/sh', ['sh', '-c', script], ENVIRONMENT);
  });
  closeSync(begun.write);
  readSync(begun.read, Buffer.alloc(1)); // ends when the child's copy of the other end is closed: by execve, or by its end
  closeSync(begun.read);
  return pid;
}

/** Waits, without blocking, until something holds; false when it does not within a minute. */
export async function eventually(holds: () => boolean): Promise<boolean> {
  for (let i = 0; i < 3000; i++) {
    if (holds()) return true;
    await setTimeout(20);
  }
  return false;
}

/** Waits until a number that grew does not grow any more, at two looks one after the other, and returns it; or as it is after a minute. */
export async function standsStill(read: () => number): Promise<number> {
  let now = NaN;
  await eventually(() => {
    const before = now;
    now = read();
    return now === before;
  });
  return now;
}

/** How a process ended, in words. */
export const ending = (status: WaitStatus): string =>
  status.kind === 'exited'
    ? `exited with status ${status.code}`
    : status.kind === 'signaled'
      ? `killed by signal ${status.signal}`
      : status.kind;
