import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { getXattr, isWhiteout, layersOf, type Mount } from '../index.ts';
import { needsRoot, scratch } from './scratch.ts';

needsRoot();

test('someone without root has snapshots in a user namespace, whose marks are user.overlay.*', () => {
  const dir = scratch();
  const person = 20_000 + Math.floor(Math.random() * 10_000);
  chownSync(dir, person, person);
  chmodSync(dir, 0o755);
  const program = join(import.meta.dirname, 'rootless-program.ts');
  const { stdout, stderr, status } = spawnSync(
    'unshare',
    [
      '--user',
      '--map-root-user',
      '--mount',
      process.execPath,
      '--import',
      import.meta.resolve('tsx'),
      program,
      dir,
    ],
    {
      uid: person,
      gid: person,
      encoding: 'utf8',
      timeout: 60_000,
      env: { PATH: process.env['PATH'], TMPDIR: dir, HOME: dir },
    },
  );
  expect(status, stderr).toBe(0);
  const told = JSON.parse(stdout) as {
    mounts: Mount[];
    changes: string[];
    names: string[];
    refusals: string[];
  };
  expect(told.mounts[0]!.options).toContain('userxattr');
  expect(told.changes).toEqual(['C /cache', 'D /cache/old', 'C /etc', 'D /etc/shadow', 'A /new']);
  expect(told.names).toEqual(['cache/', 'cache/.wh..wh..opq', 'etc/', 'etc/.wh.shadow', 'new']);

  // From outside: whose the files are, and how the marks are spelled.
  const { upper, userxattr } = layersOf(told.mounts);
  expect(userxattr).toBe(true);
  expect(lstatSync(join(upper, 'new')).uid).toBe(person);
  expect(isWhiteout(lstatSync(join(upper, 'etc/shadow')))).toBe(true);
  expect(getXattr(join(upper, 'cache'), 'user.overlay.opaque')?.toString()).toBe('y');
  expect(getXattr(join(upper, 'cache'), 'trusted.overlay.opaque')).toBeUndefined();

  expect(told.refusals[0]).toMatch(/^layer entry "refused": mknod .*EPERM/);
  expect(told.refusals[1]).toMatch(/^layer entry "refused": .*EINVAL/);
});
