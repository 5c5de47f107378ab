import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import {
  execve,
  fork,
  formatPstree,
  formatPsTree,
  getpid,
  kill,
  linkTree,
  processTree,
  readStat,
  subtree,
  waitpid,
  type ProcessNode,
} from '../index.ts';

/** A node as drawings need it. */
function node(pid: number, comm: string, children: ProcessNode[] = []): ProcessNode {
  const zero = { pgrp: pid, session: 1, ttyNr: 0, tpgid: -1, utime: 0, stime: 0, nice: 0 };
  const rest = { threads: 1, startTime: 0, vsize: 0, rss: 0, uid: 0, cmdline: [comm, '-x'], state: 'S' };
  for (const child of children) child.ppid = pid;
  return { ...zero, ...rest, pid, comm, ppid: 0, children };
}

const small = (): ProcessNode =>
  node(1, 'init', [node(20, 'sshd', [node(21, 'sh'), node(300, 'ps')]), node(40, 'cron', [node(41, 'job')])]);

describe('a process tree', () => {
  test('has each process under its parent, and those without one at the top', () => {
    const list = [
      { pid: 1, ppid: 0, children: [] },
      { pid: 2, ppid: 0, children: [] },
      { pid: 5, ppid: 1, children: [] },
      { pid: 9, ppid: 5, children: [] },
      { pid: 7, ppid: 99, children: [] },
    ];
    const roots = linkTree<(typeof list)[number] & { children: never[] }>(list as never[]);
    expect(roots.map(({ pid }) => pid)).toEqual([1, 2, 7]);
    expect(roots[0]).toMatchObject({ children: [{ pid: 5, children: [{ pid: 9 }] }] });
  });

  test('shows the children and grandchildren of this process', () => {
    const pid = fork(() => {
      fork(() => execve('/bin/sleep', ['sleep', '1001'], []));
      execve('/bin/sleep', ['sleep', '1000'], []);
    });
    let found;
    do found = subtree(processTree(), getpid())!.children.find((child) => child.pid === pid)!;
    while (found.comm !== 'sleep' || found.children[0]?.comm !== 'sleep');
    expect(found.cmdline).toEqual(['sleep', '1000']);
    expect(found.children.map(({ cmdline }) => cmdline)).toEqual([['sleep', '1001']]);
    kill(found.children[0]!.pid, 9);
    kill(pid, 9);
    waitpid(pid);
    expect(readStat(pid)).toBeUndefined();
  });

  test('is drawn as ps axjf draws it', () => {
    expect(formatPsTree([small()])).toBe(
      [
        'PPID PID PGID SID STAT UID COMMAND',
        '   0   1    1   1    S   0 init -x',
        '   1  20   20   1    S   0  \\_ sshd -x',
        '  20  21   21   1    S   0  |   \\_ sh -x',
        '  20 300  300   1    S   0  |   \\_ ps -x',
        '   1  40   40   1    S   0  \\_ cron -x',
        '  40  41   41   1    S   0      \\_ job -x',
      ].join('\n'),
    );
  });

  test('is drawn as pstree draws it', () => {
    expect(formatPstree(small())).toBe(
      ['init(1)─┬─sshd(20)─┬─sh(21)', '        │          └─ps(300)', '        └─cron(40)───job(41)'].join(
        '\n',
      ),
    );
  });

  test('a process without arguments stands in brackets', () => {
    expect(formatPsTree([{ ...node(2, 'kthreadd'), cmdline: [] }])).toContain('[kthreadd]');
  });

  test('has the same processes as ps', () => {
    const pids = (nodes: ProcessNode[]): number[] => nodes.flatMap((n) => [n.pid, ...pids(n.children)]);
    const before = new Set(execFileSync('ps', ['-eo', 'pid='], { encoding: 'utf8' }).split('\n').map(Number));
    const ours = new Set(pids(processTree()));
    const after = new Set(execFileSync('ps', ['-eo', 'pid='], { encoding: 'utf8' }).split('\n').map(Number));
    // Whoever was there before and after was there in between.
    for (const pid of before) if (pid > 0 && after.has(pid)) expect(ours).toContain(pid);
  });
});
