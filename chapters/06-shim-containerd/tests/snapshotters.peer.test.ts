import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeBaseImage } from '../../04-overlayfs/index.ts';
import { startEngine, type Engine } from './mycontainerd-harness.ts';

const IMAGE = 'docker.io/library/busybox:latest';

/** Stock ctr at an engine: what it prints, or why it failed. */
const ctrOf =
  (engine: () => Engine) =>
  (...args: string[]): Promise<string> =>
    new Promise((resolve, reject) =>
      execFile(
        'ctr',
        ['-a', engine().address, '-n', engine().name, ...args],
        { timeout: 60_000 },
        (error, stdout, stderr) =>
          error
            ? reject(new Error(`ctr ${args.join(' ')}: ${stderr || error.message}`, { cause: error }))
            : resolve(stdout),
      ),
    );

describe('where the root is not on btrfs', () => {
  let engine: Engine;
  const ctr = ctrOf(() => engine);
  beforeAll(async () => void (engine = await startEngine()));
  afterAll(() => engine.destroy());

  test('ctr lists the snapshotters, and why one is left out', async () => {
    const [filesystem] = execFileSync('stat', ['-f', '-c', '%T', engine.directory], {
      encoding: 'utf8',
    }).split('\n');
    expect(filesystem).not.toBe('btrfs');
    const plugins = await ctr('plugins', 'ls');
    for (const [name, status] of [
      ['overlayfs', 'ok'],
      ['native', 'ok'],
      ['btrfs', 'skip'],
    ] as const)
      expect(plugins).toMatch(new RegExp(`snapshotter\\.v1\\s+${name}\\s+\\S+\\s+${status}`));
    expect(await ctr('plugins', 'ls', '-d', 'id==btrfs')).toContain('is not on btrfs');
  });

  test('one that is not there is refused with the reason', async () => {
    await expect(ctr('snapshots', '--snapshotter', 'btrfs', 'ls')).rejects.toThrow(
      /snapshotter not loaded: btrfs: .* is not on btrfs/,
    );
    await expect(ctr('snapshots', '--snapshotter', 'zfs', 'ls')).rejects.toThrow(
      'snapshotter not loaded: zfs: overlayfs, native, btrfs are there',
    );
  });
});

describe('on btrfs', () => {
  let engine: Engine;
  let place: string;
  const disk = (): string => join(place, 'disk');
  const ctr = ctrOf(() => engine);
  beforeAll(async () => {
    place = mkdtempSync(join(tmpdir(), '06-btrfs-'));
    mkdirSync(disk());
    execFileSync('truncate', ['-s', '300M', join(place, 'image')]);
    execFileSync('mkfs.btrfs', ['-q', join(place, 'image')]);
    execFileSync('mount', ['-o', 'loop', join(place, 'image'), disk()]);
    engine = await startEngine({ root: join(disk(), 'root') });
    await makeBaseImage({ out: join(engine.directory, 'base.tar') });
  });
  afterAll(async () => {
    await engine?.destroy();
    execFileSync('umount', ['--lazy', disk()]);
    rmSync(place, { recursive: true });
  });

  test('every snapshotter is there', async () => {
    expect(await ctr('plugins', 'ls')).toMatch(/snapshotter\.v1\s+btrfs\s+\S+\s+ok/);
  });

  test.each(['overlayfs', 'native', 'btrfs'])(
    '%s keeps an image and a container apart from the others, and nothing when both are gone',
    { timeout: 120_000 },
    async (name) => {
      const snapshots = (...args: string[]): Promise<string> =>
        ctr('snapshots', '--snapshotter', name, ...args);
      const listed = async (): Promise<string[]> => (await snapshots('ls')).trim().split('\n').slice(1);
      await ctr('images', 'import', '--snapshotter', name, join(engine.directory, 'base.tar'));
      const [layer] = (await listed())[0]!.split(/\s+/);
      expect(layer).toMatch(/^sha256:/);
      expect(await snapshots('usage', layer!)).toMatch(/[1-9]\S* [KM]iB/);

      // A container on it writes, and sees what it wrote; the image does not change.
      const script = 'echo mine > /etc/group; rm /etc/passwd; cat /etc/group; test ! -e /etc/passwd';
      const runtime = ['--runtime', 'io.containerd.myrunc.v2', '--snapshotter', name];
      await ctr('run', ...runtime, '-d', IMAGE, 'one', 'sleep', '1000');
      expect(await ctr('tasks', 'exec', '--exec-id', 'e', 'one', 'sh', '-c', script)).toBe('mine\n');
      expect(JSON.parse(await ctr('containers', 'info', 'one'))).toMatchObject({ Snapshotter: name });
      expect(await ctr('run', '--rm', ...runtime, IMAGE, 'two', 'cat', '/etc/passwd')).toContain('root');
      expect(await snapshots('mounts', '/place', 'one')).toContain(
        { overlayfs: 'lowerdir=', native: 'snapshots-native', btrfs: 'snapshots-btrfs' }[name],
      );
      if (name === 'btrfs')
        expect(execFileSync('btrfs', ['subvolume', 'list', disk()], { encoding: 'utf8' })).toContain('/fs');
      // What it has changed is a layer like any other.
      const tar = 'application/vnd.oci.image.layer.v1.tar';
      const changed = await snapshots('diff', '--media-type', tar, 'one');
      expect(changed).toContain('etc/.wh.passwd');
      expect(changed).toContain('etc/group');

      // A snapshot that is needed by a container stays when its image goes, and goes with it.
      await ctr('images', 'rm', '--sync', IMAGE);
      expect((await listed()).length).toBe(2);
      await ctr('tasks', 'kill', '-s', 'KILL', 'one').catch(() => undefined);
      await ctr('tasks', 'rm', '-f', 'one');
      await ctr('containers', 'rm', 'one');
      await ctr('images', 'import', '--snapshotter', name, join(engine.directory, 'base.tar'));
      await ctr('images', 'rm', '--sync', IMAGE);
      expect(await listed()).toEqual([]);
      expect(await ctr('content', 'ls', '-q')).toBe('');
      expect(engine.leftovers('one')).toEqual([]);
    },
  );
});
