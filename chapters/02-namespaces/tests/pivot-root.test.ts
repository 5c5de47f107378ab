import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { escapeFromChroot } from '../escape.ts';
import { chroot, CLONE, enterRoot, mount, MS, pivotRoot, unshare } from '../index.ts';
import { inChild, randomName, temporaryDirectory } from './probe.ts';

let dir: string;
let remove: () => void;
let root: string;
const secret = randomName('secret');

beforeAll(() => {
  ({ dir, remove } = temporaryDirectory());
  root = join(dir, 'root');
  mkdirSync(join(root, 'bin'), { recursive: true });
  mkdirSync(join(root, 'proc'));
  copyFileSync('/bin/busybox', join(root, 'bin', 'busybox'));
  writeFileSync(join(root, 'marker'), 'the new root');
  writeFileSync(join(dir, secret), 'of the host');
});
afterAll(() => remove());

describe('chroot', () => {
  test('changes what / is', () => {
    const seen = inChild(() => {
      chroot(root);
      process.chdir('/');
      return [readFileSync('/marker', 'utf8'), existsSync(join(dir, secret))];
    });
    expect(seen).toEqual(['the new root', false]);
  });

  test('does not hold a root process: it walks out', () => {
    const seen = inChild(() => {
      chroot(root);
      process.chdir('/');
      escapeFromChroot();
      return readFileSync(join(dir, secret), 'utf8');
    });
    expect(seen).toBe('of the host');
  });
});

describe('enterRoot', () => {
  test('makes the directory the root and takes the old root away', () => {
    const seen = inChild(() => {
      unshare(CLONE.NEWNS);
      enterRoot(root);
      mount({ source: 'proc', target: '/proc', type: 'proc' });
      const mounts = readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\n');
      return {
        cwd: process.cwd(),
        root: readdirSync('/').filter((name) => name !== 'tmp'),
        mounts: mounts.map((line) => line.split(' ')[4]),
      };
    });
    expect(seen).toEqual({ cwd: '/', root: ['bin', 'marker', 'proc'], mounts: ['/', '/proc'] });
  });

  test('holds a root process: the same walk stays inside', () => {
    const seen = inChild(() => {
      unshare(CLONE.NEWNS);
      enterRoot(root);
      return [escapeFromChroot(), existsSync(join(dir, secret))];
    });
    expect(seen).toEqual([['bin', 'marker', 'proc', 'tmp'], false]);
  });

  test('brings along what was mounted below the new root', () => {
    const seen = inChild(() => {
      unshare(CLONE.NEWNS);
      mount({ target: '/', flags: MS.REC | MS.PRIVATE });
      mount({ source: 'ch02', target: join(root, 'proc'), type: 'tmpfs' });
      writeFileSync(join(root, 'proc', 'file'), 'came along');
      enterRoot(root);
      return readFileSync('/proc/file', 'utf8');
    });
    expect(seen).toBe('came along');
  });

  test('a root that is not there is refused, with its path', () => {
    const enter = () =>
      inChild(() => {
        unshare(CLONE.NEWNS);
        enterRoot(join(dir, 'none'));
      });
    expect(enter).toThrow(`mount "${dir}/none" on "${dir}/none": ENOENT`);
  });
});

describe('pivotRoot', () => {
  test('a directory that is no mount point is refused', () => {
    const pivot = () =>
      inChild(() => {
        unshare(CLONE.NEWNS);
        mount({ target: '/', flags: MS.REC | MS.PRIVATE });
        mount({ source: 'ch02', target: root, type: 'tmpfs' });
        mkdirSync(join(root, 'new', 'old'), { recursive: true });
        pivotRoot(join(root, 'new'), join(root, 'new', 'old'));
      });
    expect(pivot).toThrow(
      `pivot_root "${root}/new", old root to "${root}/new/old": EINVAL (Invalid argument)`,
    );
  });

  test('the root itself is refused as the new root', () => {
    const pivot = () =>
      inChild(() => {
        unshare(CLONE.NEWNS);
        mount({ target: '/', flags: MS.REC | MS.PRIVATE });
        pivotRoot('/', '/');
      });
    expect(pivot).toThrow('pivot_root "/", old root to "/": EBUSY (Device or resource busy)');
  });

  test('so is a root of shared propagation', () => {
    const pivot = () =>
      inChild(() => {
        unshare(CLONE.NEWNS);
        mount({ target: '/', flags: MS.REC | MS.PRIVATE });
        mount({ source: root, target: root, flags: MS.BIND });
        // All of them: what counts is the mount that the new root lies in, and that may be one of /tmp's own.
        mount({ target: '/', flags: MS.REC | MS.SHARED });
        pivotRoot(root, join(root, 'proc'));
      });
    expect(pivot).toThrow('EINVAL');
  });
});

test('nothing is left mounted on the machine', () => {
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(dir);
});
