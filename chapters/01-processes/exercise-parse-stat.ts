import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { CannotCheck, expectSame, type Exercise, type Trial } from './exercise.ts';
import { parseStat } from './proc.ts';
import { c_getpid } from './syscalls.ts';

export const parsing: Exercise = {
  gap: '01.1',
  task: 'Take a line of /proc/PID/stat apart, whatever the process is called.',
  hints: [
    'The second field is the program’s name in brackets. Anyone may name a program: with spaces, with brackets, with digits.',
    'proc_pid_stat(5) numbers the fields from 1. After the name there are only single words, so only the name is difficult.',
    'Find the first "(" with indexOf and the last ")" with lastIndexOf; split what follows ") " at spaces: its word 0 is field 3.',
  ],
  check: checkParseStat,
  wrong: [
    {
      mistake: 'splits the line at spaces',
      code: `const f = line.split(' ');
const n = (number: number): number => Number(f[number - 1]);
return { pid: n(1), comm: f[1]!.slice(1, -1), state: f[2]!, ppid: n(4), pgrp: n(5), session: n(6), ttyNr: n(7), tpgid: n(8), utime: n(14), stime: n(15), nice: n(19), threads: n(20), startTime: n(22), vsize: n(23), rss: n(24) };`,
      diagnosis: 'the name may hold spaces',
    },
    {
      mistake: 'ends the name at the first closing bracket',
      code: `const close = line.indexOf(')');
const f = line.slice(close + 2).split(' ');
const n = (number: number): number => Number(f[number - 3]);
return { pid: parseInt(line), comm: line.slice(line.indexOf('(') + 1, close), state: f[0]!, ppid: n(4), pgrp: n(5), session: n(6), ttyNr: n(7), tpgid: n(8), utime: n(14), stime: n(15), nice: n(19), threads: n(20), startTime: n(22), vsize: n(23), rss: n(24) };`,
      diagnosis: 'ends at the last one',
    },
    {
      mistake: 'is one field off',
      code: `const close = line.lastIndexOf(')');
const f = line.slice(close + 2).split(' ');
const n = (number: number): number => Number(f[number - 2]);
return { pid: parseInt(line), comm: line.slice(line.indexOf('(') + 1, close), state: f[0]!, ppid: n(4), pgrp: n(5), session: n(6), ttyNr: n(7), tpgid: n(8), utime: n(14), stime: n(15), nice: n(19), threads: n(20), startTime: n(22), vsize: n(23), rss: n(24) };`,
      diagnosis: 'counts fields from 1',
    },
  ],
};

async function checkParseStat(t: Trial): Promise<void> {
  const folder = t.folder();
  const word = t.word().slice(0, 5);
  const causes = [
    [word, 'The manual counts fields from 1, and what follows the name begins with field 3.'],
    [`${word} x`, 'You split at spaces, but the name may hold spaces: take it out by its brackets first.'],
    [`${word}) R 1 (`, 'You end the name at its first closing bracket; it ends at the last one of the line.'],
  ] as const;
  for (const [name, cause] of causes) {
    const { pid } = await started(t, folder, name);
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8').trimEnd();
    const { comm, ppid, pgrp, session, threads } = parseStat(line);
    // The process leads a session of its own, and its parent is this one: facts that the line must agree with.
    const expected = { comm: name, ppid: c_getpid(), pgrp: pid, session: pid, threads: 1 };
    expectSame(
      `for the line "${line.slice(0, 60)}…"`,
      expected,
      { comm, ppid, pgrp, session, threads },
      cause,
    );
  }
}

/** A process of this name, in a session of its own. */
async function started(t: Trial, folder: string, name: string): Promise<{ pid: number }> {
  const program = join(folder, name);
  symlinkSync('/bin/sleep', program);
  const child: ChildProcess = spawn(program, ['1000'], { detached: true, stdio: 'ignore' });
  t.cleanup(() => void child.kill('SIGKILL'));
  await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  if (!child.pid) throw new CannotCheck('no process could be started', 'npm run doctor');
  return { pid: child.pid };
}
