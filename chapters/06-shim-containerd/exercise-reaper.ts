import { execFileSync, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  expectSame,
  expectThat,
  fork,
  kill,
  readStat,
  SIGNALS,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { eventually, within } from './exercise-support.ts';
import { startReaper } from './reaper.ts';

export const reaping: Exercise = {
  gap: '06.1',
  task: 'Take the exit status of every child that has ended and is not Node’s, and tell whoever waits for it.',
  hints: [
    'A process that has ended stays as a zombie until its parent waits. A subreaper is parent to orphans it has never heard of. And SIGCHLD is no message: several ends can be one signal.',
    'children() lists the ids, waitIfEnded(pid) gives a status or undefined, `nodes` are those that Node itself waits for. exitCode makes one number of a status.',
    'for each of children(): skip nodes; status = waitIfEnded(pid), skip undefined; exit = { status: exitCode(status), at: new Date() }; tell = waiting.get(pid), delete it; tell(exit), or early.set(pid, exit) while beingMade > 0.',
  ],
  check: checkReaper,
  wrong: [
    {
      mistake: 'waits for Node’s children too',
      code: `for (const pid of children()) {
  const status = waitIfEnded(pid);
  if (!status) continue;
  const exit = { status: exitCode(status), at: new Date() };
  const tell = waiting.get(pid);
  waiting.delete(pid);
  if (tell) tell(exit);
  else if (beingMade > 0) early.set(pid, exit);
}`,
      diagnosis: 'Node waits for',
    },
    {
      mistake: 'looks only at those that someone waits for',
      code: `for (const [pid, tell] of waiting) {
  if (nodes.has(pid)) continue;
  const status = waitIfEnded(pid);
  if (!status) continue;
  waiting.delete(pid);
  tell({ status: exitCode(status), at: new Date() });
}`,
      diagnosis: 'zombie',
    },
    {
      mistake: 'takes one child for each signal',
      code: `for (const pid of children()) {
  if (nodes.has(pid)) continue;
  const status = waitIfEnded(pid);
  if (!status) continue;
  const exit = { status: exitCode(status), at: new Date() };
  const tell = waiting.get(pid);
  waiting.delete(pid);
  if (tell) tell(exit);
  else if (beingMade > 0) early.set(pid, exit);
  return;
}`,
      diagnosis: 'one signal',
    },
    {
      mistake: 'forgets ends that come early',
      code: `for (const pid of children()) {
  if (nodes.has(pid)) continue;
  const status = waitIfEnded(pid);
  if (!status) continue;
  waiting.get(pid)?.({ status: exitCode(status), at: new Date() });
  waiting.delete(pid);
}`,
      diagnosis: 'before its id was known',
    },
    {
      mistake: 'drops the signal',
      code: `for (const pid of children()) {
  if (nodes.has(pid)) continue;
  const status = waitIfEnded(pid);
  if (!status) continue;
  const exit = { status: status.kind === 'exited' ? status.code : 0, at: new Date() };
  const tell = waiting.get(pid);
  waiting.delete(pid);
  if (tell) tell(exit);
  else if (beingMade > 0) early.set(pid, exit);
}`,
      diagnosis: '128',
    },
  ],
};

async function checkReaper(t: Trial): Promise<void> {
  const reaper = startReaper();
  t.cleanup(() => reaper.close());
  /** Ends processes while no SIGCHLD is heard; then there is one, for all of them. */
  const endTogether = (pids: readonly number[]): void => {
    const listeners = process.listeners('SIGCHLD');
    process.removeAllListeners('SIGCHLD');
    for (const pid of pids) kill(pid, SIGNALS['SIGKILL']!);
    while (pids.some((pid) => readStat(pid)?.state !== 'Z' && readStat(pid) !== undefined));
    for (const listener of listeners) listener('SIGCHLD');
    for (const listener of listeners) process.on('SIGCHLD', listener);
  };

  const [first] = orphans(1);
  const before = readStat(first!);
  expectSame('the orphan’s parent', process.pid, before?.ppid, '');
  endTogether([first!]);
  expectThat(
    readStat(first!) === undefined,
    'an orphan that ended to be gone',
    'a zombie',
    'Nobody else will ever wait for an orphan: it stays a zombie, and its pid namespace cannot end. Look at all children().',
  );
  const several = orphans(3);
  endTogether(several);
  expectSame(
    'zombies when three ended at once',
    0,
    several.filter((pid) => readStat(pid) !== undefined).length,
    'Signals that come together are one signal: look at all children each time.',
  );

  const nodes = spawn('sleep', ['1000'], { stdio: 'ignore' });
  reaper.leave(nodes.pid!);
  const heard = new Promise<string | null>((resolve) => nodes.once('exit', (_, signal) => resolve(signal)));
  endTogether([nodes.pid!]);
  expectSame(
    'what Node hears of its own child',
    'SIGKILL',
    (await within(2000, heard)) ?? 'nothing',
    'You took the exit status of a child that Node waits for; it is told once only. Leave out `nodes`.',
  );

  const code = t.number(1, 120);
  const early = await reaper.adopt(async () => {
    const pid = fork(() => code);
    await eventually(() => readStat(pid) === undefined || readStat(pid)?.state === 'Z');
    await sleep(50); // time for SIGCHLD
    return pid;
  });
  expectSame(
    'the status of a process that ended at once',
    code,
    (await within(2000, early.exited))?.status ?? 'none',
    'It ended before its id was known here: keep the exit in `early` while something is being made.',
  );
  const [late] = orphans(1);
  const adopted = await reaper.adopt(async () => late!);
  kill(late!, SIGNALS['SIGKILL']!);
  expectSame(
    'the status of a process that was killed',
    128 + SIGNALS['SIGKILL']!,
    (await within(2000, adopted.exited))?.status ?? 'none',
    'A process that a signal ended has no code; the custom is 128 and the signal’s number: exitCode.',
  );
}

/** Processes that this one has not made, and is now parent to. */
function orphans(count: number): number[] {
  const script = 'for i in $(seq "$1"); do sleep 1000 <&- >&- 2>&- & echo $!; done';
  // This process is the first of its pid namespace: orphans come to it.
  const output = execFileSync('sh', ['-c', script, 'sh', String(count)], { encoding: 'utf8' });
  return output.trim().split('\n').map(Number);
}
