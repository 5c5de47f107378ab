import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  inodeOf,
  kindOfFile,
  namespaceTable,
  ownerOf,
  owningUserNamespace,
  parentNamespace,
} from '../index.ts';
import {
  CLONE,
  namespaceId,
  namespaceIds,
  namespacePath,
  pinNamespace,
  unpinNamespace,
  unshare,
} from '../index.ts';
import { parked, temporaryDirectory } from './probe.ts';
import { buildPrograms, run, runOurs, sleeperIn } from './programs.ts';

// Compared with util-linux's lsns by the namespaces of these tests alone: the rest of the machine does not hold still.

let alone: { pid: number; end: () => void };
let shared: { pid: number; end: () => void };
let mine: Set<number>;

const { dir: programs, remove: removePrograms } = temporaryDirectory();
beforeAll(async () => {
  await buildPrograms(programs, 'lsns');
  alone = await sleeperIn('-m', '-u', '-i', '-n', '-U', '-r', '-C', '-T', '-p', '--fork', '--kill-child');
  shared = await sleeperIn('--uts', '--net');
  const host = new Set(Object.values(namespaceIds('self')));
  const ids = [alone, shared].flatMap(({ pid }) => Object.values(namespaceIds(pid)));
  mine = new Set(ids.filter((id) => !host.has(id)).map(inodeOf));
});
afterAll(() => {
  [alone, shared].forEach(({ end }) => end());
  removePrograms();
});

/** The lines that begin with the number of a namespace of ours, blanks at their ends left out. */
const ofMine = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => mine.has(Number(/\d+/.exec(line)?.[0])))
    .map((line) => line.trimEnd());

/** Words and lines; how wide a column is, is a matter of taste. */
const words = (text: string): string[][] =>
  text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/ +/));

describe('lsns lists what util-linux’s lists', () => {
  test('namespaces, how many processes, the first one, its user and command', () => {
    expect(mine.size).toBe(10);
    const args = ['--list', '--raw', '-n', '-o', 'NS,TYPE,NPROCS,PID,PPID,UID,USER,COMMAND'];
    const theirs = ofMine(run('lsns', ...args).stdout);
    expect(theirs).toHaveLength(10);
    expect(ofMine(runOurs('lsns', ...args).stdout)).toEqual(theirs);
  });

  test('parents and owners', () => {
    const args = ['-r', '-n', '-o', 'NS,PNS,ONS,PATH'];
    const theirs = ofMine(run('lsns', ...args).stdout);
    expect(ofMine(runOurs('lsns', ...args).stdout)).toEqual(theirs);
    const user = inodeOf(namespaceId(alone.pid, 'user'));
    expect(theirs.filter((line) => line.split(' ')[2] === String(user))).toHaveLength(7);
  });

  test('one kind, as JSON', () => {
    const ofUts = (text: string): object[] =>
      (JSON.parse(text) as { namespaces: { ns: number }[] }).namespaces.filter(({ ns }) => mine.has(ns));
    const args = ['-J', '-t', 'uts'];
    const theirs = ofUts(run('lsns', ...args).stdout);
    expect(theirs).toHaveLength(2);
    expect(ofUts(runOurs('lsns', ...args).stdout)).toEqual(theirs);
  });

  test.each(['-T', '--tree=parent'])('a tree, with %s', (tree) => {
    const args = [tree, '-n', '-o', 'NS,TYPE,NPROCS,PID,USER'];
    // What stands at the left of our user namespace is drawn by the namespaces of others.
    const drawn = (text: string): string[] => ofMine(text).map((line) => line.replace(/^[│├└─ ]{2}/u, ''));
    const theirs = drawn(run('lsns', ...args).stdout);
    expect(theirs.some((line) => /^(├|└|\d)/u.test(line))).toBe(true);
    // Which of two trees is the first, is a matter of taste too.
    const lines = (all: string[]): string[] => all.map((line) => line.replace(/ +/g, ' ').trim()).sort();
    expect(lines(drawn(runOurs('lsns', ...args).stdout))).toEqual(lines(theirs));
  });

  test('those of one process, in columns', () => {
    const args = ['-l', '-t', 'uts', '-p', String(shared.pid)];
    const theirs = run('lsns', ...args).stdout;
    expect(theirs).toContain('sleep 1000');
    expect(words(runOurs('lsns', ...args).stdout)).toEqual(words(theirs));
  });

  test('the processes of one namespace', () => {
    const number = String(inodeOf(namespaceId(shared.pid, 'net')));
    const theirs = run('lsns', number).stdout;
    expect(theirs).toContain(String(shared.pid));
    expect(words(runOurs('lsns', number).stdout)).toEqual(words(theirs));
  });
});

test('a pinned namespace without a process is listed, with where it is pinned', () => {
  const { dir, remove } = temporaryDirectory();
  const file = join(dir, 'uts');
  try {
    const other = parked(() => unshare(CLONE.NEWUTS));
    const NS = inodeOf(namespaceId(other.pid, 'uts'));
    pinNamespace(namespacePath(other.pid, 'uts'), file);
    const held = namespaceTable().find((row) => row.NS === NS)!;
    expect(held).toMatchObject({ PID: other.pid, NPROCS: 1, NSFS: file });
    other.end();
    const empty = namespaceTable().find((row) => row.NS === NS)!;
    expect(empty).toMatchObject({ TYPE: 'uts', NPROCS: 0, NSFS: file, PATH: file });
    expect(empty.PID).toBeUndefined();
    unpinNamespace(file);
    // Its number is free, and may be another's by now: somebody else's, with a process in it.
    expect(namespaceTable().some((row) => row.NSFS === file || (row.NS === NS && row.NPROCS === 0))).toBe(
      false,
    );
  } finally {
    unpinNamespace(file);
    remove();
  }
});

test('a namespace’s file says its kind, its owner and its parent', () => {
  expect(kindOfFile(namespacePath(alone.pid, 'time'))).toBe('time');
  expect(kindOfFile('/etc/passwd')).toBeUndefined();
  expect(() => kindOfFile('/no/such')).toThrow('ENOENT');
  const host = namespaceIds('self');
  expect(parentNamespace(namespacePath(alone.pid, 'pid'))).toBe(inodeOf(host.pid!));
  expect(parentNamespace(namespacePath(alone.pid, 'uts'))).toBeUndefined();
  expect(owningUserNamespace(namespacePath(shared.pid, 'uts'))).toBe(inodeOf(host.user!));
  expect(ownerOf(namespacePath(alone.pid, 'user'))).toBe(0);
  expect(() => ownerOf('/proc/self/ns/uts')).toThrow('NS_GET_OWNER_UID of /proc/self/ns/uts: EINVAL');
});

test.each([
  [['-t', 'nope'], 'lsns: unknown namespace type: nope'],
  [['-t', 'constructor'], 'lsns: unknown namespace type: constructor'],
  [['-o', 'NS,NOPE'], 'lsns: unknown column: NOPE'],
  [['-p', '4194305'], 'lsns: no such process: 4194305'],
  [['-p', '../1'], "lsns: invalid PID argument: '../1'"],
  [['--tree=cousin'], 'lsns: unknown kin: cousin: give owner or parent'],
  [['-T', '-J'], "lsns: a tree is drawn: neither as JSON nor raw\nTry 'lsns --help' for more information."],
  [['12345'], 'lsns: not found namespace: 12345'],
  [['abc'], "lsns: invalid namespace argument: 'abc'"],
  [['--nope'], "lsns: unrecognized option '--nope'\nTry 'lsns --help' for more information."],
])('lsns %j is refused', (args, message) => {
  expect(runOurs('lsns', ...args)).toEqual({ status: 1, stdout: '', stderr: `${message}\n` });
});
