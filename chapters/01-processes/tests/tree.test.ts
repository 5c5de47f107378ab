import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import {
  execve,
  fork,
  getpid,
  kill,
  linkTree,
  processTree,
  readStat,
  subtree,
  waitpid,
  type ProcessNode,
} from '../index.ts';
import { until } from './until.ts';

describe('a process tree', () => {
  test('has each process under its parent, and those without one at the top', () => {
    const list = [
      { pid: 1, ppid: 0, startTime: 0, children: [] },
      { pid: 2, ppid: 0, startTime: 0, children: [] },
      { pid: 5, ppid: 1, startTime: 1, children: [] },
      { pid: 9, ppid: 5, startTime: 2, children: [] },
      { pid: 7, ppid: 99, startTime: 3, children: [] },
    ];
    const roots = linkTree<(typeof list)[number] & { children: never[] }>(list as never[]);
    expect(roots.map(({ pid }) => pid)).toEqual([1, 2, 7]);
    expect(roots[0]).toMatchObject({ children: [{ pid: 5, children: [{ pid: 9 }] }] });
  });

  test('is in the order of starting, not of numbers: after the highest number comes a low one', () => {
    const list = [
      { pid: 1, ppid: 0, startTime: 0, children: [] },
      { pid: 301, ppid: 1, startTime: 9, children: [] },
      { pid: 4194303, ppid: 1, startTime: 8, children: [] },
    ];
    const [root] = linkTree<(typeof list)[number] & { children: { pid: number }[] }>(list as never[]);
    expect(root!.children.map(({ pid }) => pid)).toEqual([4194303, 301]);
  });

  test('shows the children and grandchildren of this process', () => {
    const pid = fork(() => {
      fork(() => execve('/bin/sleep', ['sleep', '1001'], []));
      execve('/bin/sleep', ['sleep', '1000'], []);
    });
    const found = until('both are sleep', () => {
      const child = subtree(processTree(), getpid())!.children.find((one) => one.pid === pid)!;
      const began = (node?: ProcessNode) => node?.comm === 'sleep' && node.cmdline.length > 0;
      return began(child) && began(child.children[0]) ? child : undefined;
    })!;
    expect(found.cmdline).toEqual(['sleep', '1000']);
    expect(found.children.map(({ cmdline }) => cmdline)).toEqual([['sleep', '1001']]);
    kill(found.children[0]!.pid, 9);
    kill(pid, 9);
    waitpid(pid);
    expect(readStat(pid)).toBeUndefined();
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
