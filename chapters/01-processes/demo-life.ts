import { closeSync, readSync, writeSync } from 'node:fs';
import type { Step } from './demo-kit.ts';
import { endWithStep, eventually, sleeps, start } from './demo-support.ts';
import {
  execve,
  exitCode,
  fork,
  formatPstree,
  getpid,
  isAlive,
  kill,
  pipe,
  processTree,
  readStat,
  setSubreaper,
  SIGNALS,
  signalName,
  subtree,
  waitAsync,
} from './index.ts';

/** Steps about the life of a process: made, replaced, ended, waited for, orphaned. */

export async function lifetime(s: Step): Promise<void> {
  const pid = fork(() => execve('/bin/sh', ['sh', '-c', 'exit 42'], []));
  s.call('fork()', `${pid} (and 0 in the child)`);
  s.call('execve("/bin/sh", ["sh", "-c", "exit 42"])', 'never, if it works');
  const status = await waitAsync(pid);
  s.call(`waitpid(${pid})`, JSON.stringify(status));
  s.claim('the status is the program’s own', exitCode(status) === 42);
  const killed = await start(s, ['/bin/sleep', '1000']);
  kill(killed, SIGNALS['SIGTERM']!);
  s.call(`kill(${killed}, SIGTERM)`, 0);
  const end = await waitAsync(killed);
  s.evidence('a killed process', {
    'the kernel says': end.kind === 'signaled' ? `signal ${end.signal}, ${signalName(end.signal)}` : end.kind,
    'docker says': `Exited (${exitCode(end)})`,
  });
  s.claim('128 and the signal’s number', exitCode(end) === 143);
}

export async function zombie(s: Step): Promise<void> {
  const pid = fork(() => 7);
  await eventually(() => readStat(pid)?.state === 'Z');
  const stat = readStat(pid)!;
  s.evidence(`process ${pid} has ended`, {
    state: stat.state,
    memory: `${stat.vsize} bytes`,
    'still there': isAlive(pid),
  });
  s.claim('it has nothing left but its number and its status', stat.state === 'Z' && stat.vsize === 0);
  const status = await waitAsync(pid);
  s.call(`waitpid(${pid})`, JSON.stringify(status));
  s.claim('asked for, it is gone', !isAlive(pid) && exitCode(status) === 7);
}

export async function orphan(s: Step): Promise<void> {
  const { read, write } = pipe();
  setSubreaper();
  s.cleanup('be no subreaper any more', () => setSubreaper(false));
  s.call('prctl(PR_SET_CHILD_SUBREAPER, 1)', 0);
  const middle = fork(() => {
    const grandchild = fork(() => execve('/bin/sleep', ['sleep', '1000'], []));
    writeSync(write, String(grandchild));
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
  });
  endWithStep(s, middle);
  const chunk = Buffer.alloc(16);
  const grandchild = Number(chunk.toString('utf8', 0, readSync(read, chunk)));
  s.cleanup(`end process ${grandchild}`, async () => {
    kill(grandchild, SIGNALS['SIGKILL']!);
    await waitAsync(grandchild);
  });
  for (const fd of [read, write]) closeSync(fd);
  await eventually(() => sleeps(grandchild));
  const before = readStat(grandchild)!.ppid;
  s.evidence('the tree', { before: formatPstree(subtree(processTree(), getpid())!, { threads: false }) });
  kill(middle, SIGNALS['SIGKILL']!);
  await waitAsync(middle);
  const after = readStat(grandchild)!.ppid;
  s.evidence(`parent of process ${grandchild}`, { before, after });
  s.claim('the parent ended, and the child came to us', before === middle && after === getpid());
}
