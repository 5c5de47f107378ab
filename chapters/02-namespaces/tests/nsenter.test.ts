import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  getopt,
  namespaceIds,
  namespacePath,
  pinNamespace,
  unpinNamespace,
  type NamespaceKind,
} from '../index.ts';
import { randomName, temporaryDirectory } from './probe.ts';
import { buildPrograms, programPath, run, runOurs, sleeperIn } from './programs.ts';

let target: { pid: number; end: () => void };
const { dir: programs, remove: removePrograms } = temporaryDirectory();
beforeAll(async () => {
  await buildPrograms(programs, 'nsenter');
  chmodSync(programs, 0o755);
  target = await sleeperIn(
    '-m',
    '-u',
    '-i',
    '-n',
    '-U',
    '-r',
    '-C',
    '-T',
    '-p',
    '--mount-proc',
    '--fork',
    '--kill-child',
  );
});
afterAll(() => {
  target.end();
  removePrograms();
});

const LOOK =
  'for k in user cgroup ipc uts net pid time mnt; do readlink /proc/self/ns/$k; done; id -u; id -g; echo $$';

/** What a shell finds that either program started. */
const look = (
  program: (...args: string[]) => { stdout: string; stderr: string },
  ...args: string[]
): string[] => {
  const { stdout, stderr } = program(...args, '/bin/sh', '-c', LOOK);
  expect(stderr).toBe('');
  return stdout.trim().split('\n');
};
const theirs = (...args: string[]) => run('nsenter', ...args);
const ours = (...args: string[]) => runOurs('nsenter', ...args);

describe('nsenter enters what util-linux’s enters', () => {
  test('all eight namespaces of a process, as root in there', () => {
    const args = ['-t', String(target.pid), '-a'];
    const seen = look(ours, ...args);
    expect(seen.slice(0, 8)).toEqual(Object.values(namespaceIds(target.pid)));
    expect(seen.slice(8, 10)).toEqual(['0', '0']);
    // Beside the number of the shell itself: each has taken the next.
    expect(look(theirs, ...args).slice(0, 10)).toEqual(seen.slice(0, 10));
    expect(Number(seen[10])).toBeLessThan(20);
  });

  test.each([
    ['-u', ['uts']],
    ['-i -U', ['ipc', 'user']],
    ['-p', ['pid']],
    ['-F', []],
  ] as [string, NamespaceKind[]][])('only those that are named: %s', (flags, kinds) => {
    const args = ['-t', String(target.pid), ...flags.split(' ')];
    const seen = look(ours, ...args);
    const [host, inside] = [namespaceIds('self'), namespaceIds(target.pid)];
    const expected = Object.keys(host).map((k) => {
      const kind = k as NamespaceKind;
      return (kinds.includes(kind) ? inside : host)[kind];
    });
    // In the host's /proc a process in another pid namespace finds no /proc/self.
    if (!kinds.includes('pid')) expect(seen.slice(0, 8)).toEqual(expected);
    expect(look(theirs, ...args).slice(0, -1)).toEqual(seen.slice(0, -1));
  });

  test('a pinned one, by its file', () => {
    const { dir, remove } = temporaryDirectory();
    const file = join(dir, 'uts');
    try {
      pinNamespace(namespacePath(target.pid, 'uts'), file);
      const seen = look(ours, `--uts=${file}`);
      expect(seen[3]).toBe(namespaceIds(target.pid).uts);
      expect(look(theirs, `--uts=${file}`).slice(0, -1)).toEqual(seen.slice(0, -1));
    } finally {
      unpinNamespace(file);
      remove();
    }
  });

  test.each([
    ['a status', ['-u', 'sh', '-c', 'exit 7'], 7],
    ['a status from a child', ['-u', '-p', 'sh', '-c', 'exit 7'], 7],
    ['a program that is not there', ['-u', randomName()], 127],
    ['one that is not there, for a child', ['-u', '-p', randomName()], 127],
    ['one that is none', ['-u', '/etc/passwd'], 126],
  ])('ends as it: %s', (_, args, status) => {
    const all = ['-t', String(target.pid), ...args];
    expect(ours(...all).status).toBe(status);
    expect(theirs(...all).status).toBe(status);
  });

  test('with another user, root and working directory', () => {
    const { dir, remove } = temporaryDirectory();
    try {
      const args = [
        '-t',
        String(target.pid),
        '-u',
        '-S',
        '7',
        '-G',
        '8',
        `--wd=${dir}`,
        'sh',
        '-c',
        'id; pwd',
      ];
      const seen = ours(...args);
      expect(seen.stdout).toContain(`uid=7`);
      expect(seen.stdout).toContain(dir);
      expect(seen).toEqual(theirs(...args));
      expect(ours(`--root=${dir}`, '/bin/sh')).toMatchObject({ status: 127 }); // there is nothing in it
    } finally {
      remove();
    }
  });
});

test.each([
  [['-t', '4194305', '-u', 'true'], 'no such process: 4194305'],
  [['-t', 'abc', '-u', 'true'], "failed to parse pid: 'abc'"],
  [['-t', '../1', '-u', 'true'], "failed to parse pid: '../1'"],
  [['-u', 'true'], 'neither filename nor target pid supplied for ns/uts'],
  [['-a', 'true'], 'no target PID specified for --all'],
  [['--net=/no/such', 'true'], 'open /no/such: ENOENT (No such file or directory)'],
  [['--net=/etc/passwd', 'true'], '/etc/passwd is no namespace, and not net'],
  [['--net=/proc/self/ns/uts', 'true'], '/proc/self/ns/uts is a uts namespace, and not net'],
  [['-S', 'root', 'true'], "failed to parse uid: 'root'"],
  [['-q', 'true'], "invalid option -- 'q'\nTry 'nsenter --help' for more information."],
])('nsenter %j is refused before anything is done', (args, message) => {
  expect(ours(...args)).toEqual({ status: 1, stdout: '', stderr: `nsenter: ${message}\n` });
});

test('nsenter without rights says what was refused, and does nothing', () => {
  const asNobody = (program: string) =>
    run('setpriv', '--reuid', '65534', '--clear-groups', program, '-t', String(process.pid), '-u', 'true');
  for (const program of [programPath('nsenter'), 'nsenter']) {
    const { status, stderr } = asNobody(program);
    expect(status).toBe(1);
    expect(stderr).toMatch(`/proc/${process.pid}/ns/uts`);
    expect(stderr).toMatch(/permission denied/i);
  }
});

test('getopt takes options apart as getopt_long does', () => {
  const specs = [
    { short: 'a', long: 'all' },
    { short: 't', long: 'target', value: 'required' },
    { short: 'm', long: 'mount', value: 'optional' },
  ] as const;
  const options = (...args: string[]) => getopt(args, specs);
  expect(options('-at7', '-m', 'ls', '-t')).toEqual({
    options: [{ name: 'all' }, { name: 'target', value: '7' }, { name: 'mount' }],
    rest: ['ls', '-t'],
  });
  expect(options('--target', '7', '--mount=/x', '--', '-a')).toEqual({
    options: [
      { name: 'target', value: '7' },
      { name: 'mount', value: '/x' },
    ],
    rest: ['-a'],
  });
  expect(options('-m/x', '-').rest).toEqual(['-']);
  expect(() => options('-t')).toThrow("option requires an argument -- 't'");
  expect(() => options('--target')).toThrow("option '--target' requires an argument");
  expect(() => options('--all=1')).toThrow("option '--all' doesn't allow an argument");
  expect(() => options('-ax')).toThrow("invalid option -- 'x'");
});
