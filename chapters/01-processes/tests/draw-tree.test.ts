import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  describeProcess,
  formatPstree,
  formatPsTree,
  readStat,
  terminalName,
  type ProcessNode,
} from '../index.ts';
import { listings } from './zoo.ts';

/** A node as drawings need it. */
function node(pid: number, comm: string, children: ProcessNode[] = []): ProcessNode {
  const zero = { pgrp: pid, session: 1, ttyNr: 0, tpgid: -1, utime: 0, stime: 0, nice: 0, uid: 0 };
  const rest = { threads: 1, startTime: pid, vsize: 0, rss: 0, state: 'S', locked: false, otherThreads: [] };
  for (const child of children) child.ppid = pid;
  return { ...zero, ...rest, cmdline: [comm, '-x'], pid, comm, ppid: 0, children };
}

const small = (): ProcessNode =>
  node(10, 'shim', [
    node(20, 'sshd', [node(21, 'sh'), node(300, 'ps')]),
    node(40, 'cron', [node(41, 'job')]),
  ]);

describe('ps axjf', () => {
  test('prints of every kind of process what ours prints, character by character', async () => {
    const { theirs, ours } = await listings('ps axjfww', 'ps.ts');
    expect(ours).toEqual(theirs);
    const all = theirs.join('\n');
    // The zoo was complete: a zombie, one stopped, one nice, one not, a session leader, the foreground, threads, another user.
    expect(all).toContain('[sleep] <defunct>');
    for (const stat of ['T+', 'SN+', 'S<+', 'Ss', 'S+', 'Sl+', 'Z+'])
      expect(all).toMatch(new RegExp(` ${stat.replace('+', '\\+')} +\\d`));
    expect(all).toMatch(/pts\/\d+ /);
    expect(all).toMatch(/ 12345 +0:00 .*sleep 1008/);
    expect(all).toContain('./a) R 1 (b 1002');
    expect(all).toContain('./two lines 1003');
    expect(all).toContain('three lines');
  });

  test('numbers that outgrow their column push the others on', () => {
    const [header, line] = formatPsTree([node(4194303, 'x')], 5).split('\n');
    expect(header).toBe(' PPID   PID  PGID   SID TTY      TPGID STAT   UID   TIME COMMAND');
    expect(line).toBe('    0 4194303 4194303     1 ?           -1 S        0   0:00 x -x');
  });

  test('what PID 1 has adopted stands at the left, and deeper ones on branches', () => {
    const commands = formatPsTree([
      node(1, 'init', [node(5, 'a', [node(6, 'b', [node(7, 'c')]), node(8, 'd')])]),
    ])
      .split('\n')
      .slice(1)
      .map((line) => line.slice(line.indexOf('0:00') + 5));
    expect(commands).toEqual(['init -x', 'a -x', ' \\_ b -x', ' |   \\_ c -x', ' \\_ d -x']);
  });

  test('minutes are not cut at an hour', () => {
    const busy = { ...node(9, 'busy'), utime: 100 * 3600 * 2, stime: 150 };
    expect(formatPsTree([busy])).toContain(' 120:01 busy');
  });
});

describe('pstree -p', () => {
  test('has the first child on the parent’s line, sorted by name', () => {
    expect(formatPstree(small())).toBe(
      ['shim(10)─┬─cron(40)───job(41)', '         └─sshd(20)─┬─ps(300)', '                    └─sh(21)'].join(
        '\n',
      ),
    );
  });

  test('threads stand in braces, after the children, and can be left out', () => {
    const threaded = {
      ...node(9, 'node', [node(20, 'sh')]),
      otherThreads: [{ tid: 10, comm: 'worker', state: 'S' }],
    };
    expect(formatPstree(threaded)).toBe('node(9)─┬─sh(20)\n        └─{worker}(10)');
    expect(formatPstree(threaded, { threads: false })).toBe('node(9)───sh(20)');
  });
});

describe('a name in a list', () => {
  test('is the arguments; in brackets where there are none; and a zombie says so', () => {
    expect(describeProcess(node(2, 'x'))).toBe('x -x');
    expect(describeProcess({ ...node(2, 'kthreadd'), cmdline: [] })).toBe('[kthreadd]');
    expect(describeProcess({ ...node(2, 'sh'), state: 'Z', cmdline: [] })).toBe('[sh] <defunct>');
    expect(describeProcess({ ...node(2, 'x'), cmdline: ['a\u001b[31m', 'b\n'] })).toBe('a?[31m b ');
  });

  test('terminals have the names of their device numbers', () => {
    expect([0, 0x8803, 0x8900, 0x401, 0x440, 0x501].map(terminalName)).toEqual([
      '?',
      'pts/3',
      'pts/256',
      'tty1',
      'ttyS0',
      'console',
    ]);
  });
});

describe('the commands', () => {
  const run = (program: string, ...args: string[]) =>
    spawnSync('node_modules/.bin/tsx', [join(import.meta.dirname, '..', program), ...args], {
      encoding: 'utf8',
    });

  test('of this process show this process', () => {
    const ps = run('ps.ts', String(process.pid));
    expect(ps.stdout.split('\n')[1]).toMatch(new RegExp(`^ *${readStat('self')!.ppid} +${process.pid} `));
    expect(run('pstree.ts', String(process.pid)).stdout).toMatch(new RegExp(`^[^ ]+\\(${process.pid}\\)`));
  });

  test('refuse what is no process id, and say which process is not there', () => {
    expect(run('ps.ts', '-1')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('not a process id: "-1"'),
    });
    expect(run('pstree.ts', '4194304')).toMatchObject({ status: 1, stderr: 'there is no process 4194304\n' });
  });
});
