import { randomBytes } from 'node:crypto';
import { closeSync, readSync } from 'node:fs';
import {
  execve,
  fork,
  kill,
  pipe,
  setParentDeathSignal,
  SIGNALS,
  waitpid,
} from '../../chapters/01-processes/index.ts';
import { CLONE, unshare } from '../../chapters/02-namespaces/index.ts';
import { createCgroup, type Cgroup } from '../../chapters/03-cgroups/index.ts';
import { breathe, time } from './kernel-measure.ts';

/** What one more costs when so many are there already. milliseconds each */
export interface Growth {
  alive: number;
  process: number;
  namespaces: number;
  cgroup: number;
  end: number;
}

const FLAGS = CLONE.NEWNS | CLONE.NEWUTS | CLONE.NEWIPC | CLONE.NEWNET | CLONE.NEWCGROUP;

/**
 * Makes so many processes, each in five namespaces and a cgroup of its own, all alive at once, and takes them away again.
 * What each number is: a process that sleeps, forked and executed; the same in new namespaces; a cgroup with limits, and the process
 * moved into it; the end of all that.
 */
export async function growth(alive: number): Promise<Growth> {
  const pids: number[] = [];
  const cgroups: Cgroup[] = [];
  const end = (): number => {
    for (const pid of pids) kill(pid, SIGNALS['SIGKILL']!);
    const took = time(() => {
      for (const pid of pids.splice(0)) waitpid(pid);
      for (const cgroup of cgroups.splice(0)) cgroup.remove();
    });
    return took / alive;
  };
  const each = async (what: (index: number) => void): Promise<number> => {
    let total = 0;
    for (let i = 0; i < alive; i++) {
      await breathe();
      total += time(() => what(i));
    }
    return total / alive;
  };
  try {
    const process = await each(() => pids.push(sleeper(0)));
    end();
    const namespaces = await each(() => pids.push(sleeper(FLAGS)));
    const cgroup = await each((i) => {
      const made = createCgroup(`/bench-${randomBytes(5).toString('hex')}`, {
        memory: { limit: 64 * 1024 * 1024 },
        pids: { limit: 50 },
      });
      cgroups.push(made);
      made.add(pids[i]!);
    });
    return { alive, process, namespaces, cgroup, end: end() };
  } finally {
    end();
  }
}

/** A process that sleeps, in new namespaces. It is in them, and has begun its program, when this returns. @throws Error when it failed */
function sleeper(flags: number): number {
  const { read, write } = pipe();
  const pid = fork(() => {
    closeSync(read);
    setParentDeathSignal(SIGNALS['SIGKILL']!);
    if (flags) unshare(flags);
    execve('/bin/sleep', ['sleep', '1000'], []);
  });
  closeSync(write);
  // Its end closes on exec.
  readSync(read, Buffer.alloc(1));
  closeSync(read);
  return pid;
}
