import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BIN } from '../build.ts';
import { docker } from './beside-docker.ts';
import { startTestEngine, type TestEngine } from './harness.ts';

/** mydockerd keeping its layers in other ways than overlayfs, driven by the stock client. */
let place: string;
const disk = (): string => join(place, 'disk');
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'storage-driver-'));
  mkdirSync(disk());
  execFileSync('truncate', ['-s', '400M', join(place, 'image')]);
  execFileSync('mkfs.btrfs', ['-q', join(place, 'image')]);
  execFileSync('mount', ['-o', 'loop', join(place, 'image'), disk()]);
});
afterAll(() => {
  execFileSync('umount', ['--lazy', disk()]);
  rmSync(place, { recursive: true });
});

/** What mydockerd says that does not start. */
function refused(...flags: string[]): string {
  const args = ['--exec-root', join(place, 'run'), ...flags];
  const { status, stderr } = spawnSync(join(BIN, 'mydockerd'), args, { encoding: 'utf8', timeout: 60_000 });
  expect(status).toBeGreaterThan(0);
  return stderr;
}

describe.each(['vfs', 'btrfs'])('--storage-driver %s', (driver) => {
  let t: TestEngine;
  beforeAll(async () => {
    const dataRoot = driver === 'btrfs' ? join(disk(), 'data') : join(place, 'data');
    t = await startTestEngine({ flags: ['--storage-driver', driver], dataRoot });
  });
  afterAll(() => t?.stop());
  const run = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await docker(`unix://${t.engine.socket}`, args);
    expect({ args, status, stderr: status === 0 ? '' : stderr }).toEqual({ args, status: 0, stderr: '' });
    return stdout;
  };

  test('run, diff, commit, cp, build, history and rmi, as with overlay2', { timeout: 240_000 }, async () => {
    expect(await run('info', '--format', '{{.Driver}}')).toBe(`${driver}\n`);
    const script = 'echo new > /new; rm /etc/group; mkdir /d; echo x >> /etc/passwd; grep " / " /proc/mounts';
    const mounted = await run('run', '--name', 'one', '--network', 'none', 'busybox', 'sh', '-c', script);
    expect(mounted).not.toContain('overlay');
    const changes = ['A /d', 'A /new', 'C /etc', 'C /etc/passwd', 'D /etc/group'];
    expect((await run('diff', 'one')).trim().split('\n').sort()).toEqual(changes);
    await run('commit', 'one', 'made:1');
    const [made] = JSON.parse(await run('image', 'inspect', 'made:1')) as [
      { GraphDriver: { Name: string }; RootFS: { Layers: string[] } },
    ];
    expect([made.GraphDriver.Name, made.RootFS.Layers.length]).toEqual([driver, 2]);
    const look = 'cat /new; test ! -e /etc/group; tail -1 /etc/passwd';
    expect(await run('run', '--rm', '--network', 'none', 'made:1', 'sh', '-c', look)).toBe('new\nx\n');
    await run('cp', 'one:/new', join(place, 'copied'));
    expect(readFileSync(join(place, 'copied'), 'utf8')).toBe('new\n');
    const context = mkdtempSync(join(place, 'context-'));
    writeFileSync(join(context, 'Dockerfile'), 'FROM made:1\nCOPY Dockerfile /\nRUN rm /new\nRUN true');
    await run('build', '-q', '--network', 'none', '-t', 'built', context);
    const listed = await run('run', '--rm', '--network', 'none', 'built', 'ls', '/');
    expect(listed).toContain('Dockerfile');
    expect(listed).not.toContain('new');
    const empty = (await run('history', '--format', '{{.CreatedBy}}', 'built')).split('\n');
    expect(empty.slice(0, 2)).toEqual(['/bin/sh -c true', '/bin/sh -c rm /new']);
    await run('rm', 'one');
    expect(await run('rmi', 'built', 'made:1')).toContain('Deleted: ');
  });

  test('started again it goes on as before, and no other way', async () => {
    const { dataRoot } = t.engine;
    await t.engine.stop();
    const other = driver === 'vfs' ? 'btrfs' : 'vfs';
    expect(refused('--data-root', dataRoot, '--storage-driver', other)).toContain(
      `${dataRoot} was made with ${driver}: go on with that, or give another --data-root`,
    );
    await t.restart();
    expect(await run('run', '--rm', '--network', 'none', 'busybox', 'echo', 'again')).toBe('again\n');
  });
});

test('one that cannot be is refused with the reason, and nothing is begun', () => {
  const dataRoot = join(place, 'none');
  expect(refused('--data-root', dataRoot, '-s', 'zfs')).toContain('"zfs": give overlay2, vfs, btrfs');
  expect(refused('--data-root', dataRoot, '-s', 'btrfs')).toContain('is not on btrfs');
  // Another is still possible there.
  expect(() => readFileSync(join(dataRoot, 'engine.json'))).toThrow('ENOENT');
});
