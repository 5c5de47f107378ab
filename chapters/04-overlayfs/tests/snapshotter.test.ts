import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { mountAll, nativeSnapshotter, overlayfsSnapshotter, unmountAll } from '../index.ts';
import { keepsThePromises, mounted } from './snapshotter-promises.ts';
import { needsRoot, scratch, unmountLater } from './scratch.ts';

needsRoot();

keepsThePromises('overlayfs', overlayfsSnapshotter);
keepsThePromises('native', nativeSnapshotter);

const mountinfo = (target: string): string =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.split(' ')[4] === target)
    .join('\n');

describe('the overlayfs snapshotter', () => {
  test('expresses one directory as a bind mount and more as an overlay, like containerd', async () => {
    const dir = scratch();
    // Where the kernel has an index of hard links, it is turned off.
    const machine = existsSync('/sys/module/overlay/parameters/index') ? ['index=off'] : [];
    const snapshots = await overlayfsSnapshotter(dir);
    const fs = (id: number): string => join(dir, 'snapshots', String(id), 'fs');
    const work = (id: number): string => join(dir, 'snapshots', String(id), 'work');
    expect(await snapshots.prepare('a', '')).toEqual([
      { type: 'bind', source: fs(1), options: ['rw', 'rbind'] },
    ]);
    await snapshots.commit('A', 'a');
    expect(await snapshots.view('v', 'A')).toEqual([
      { type: 'bind', source: fs(1), options: ['ro', 'rbind'] },
    ]);
    expect(await snapshots.prepare('b', 'A')).toEqual([
      {
        type: 'overlay',
        source: 'overlay',
        options: [...machine, `workdir=${work(3)}`, `upperdir=${fs(3)}`, `lowerdir=${fs(1)}`],
      },
    ]);
    await snapshots.commit('B', 'b');
    expect(await snapshots.view('w', 'B')).toEqual([
      { type: 'overlay', source: 'overlay', options: [...machine, `lowerdir=${fs(3)}:${fs(1)}`] },
    ]);
    expect(await snapshots.mounts('w')).toEqual([
      { type: 'overlay', source: 'overlay', options: [...machine, `lowerdir=${fs(3)}:${fs(1)}`] },
    ]);
    await snapshots.close();
  });

  test('what a child writes is seen by no sibling and by no parent', async () => {
    const dir = scratch();
    const snapshots = await overlayfsSnapshotter(dir);
    const base = mounted(await snapshots.prepare('base', ''));
    writeFileSync(join(base, 'file'), 'lower');
    unmountAll(base);
    await snapshots.commit('base-layer', 'base');

    const one = mounted(await snapshots.prepare('one', 'base-layer'));
    const two = mounted(await snapshots.prepare('two', 'base-layer'));
    writeFileSync(join(one, 'file'), 'changed');
    rmSync(join(two, 'file'));
    expect(readFileSync(join(one, 'file'), 'utf8')).toBe('changed');
    expect(readdirSync(two)).toEqual([]);
    expect(readFileSync(join(dir, 'snapshots/1/fs/file'), 'utf8')).toBe('lower');
    expect(readFileSync(join(dir, 'snapshots/2/fs/file'), 'utf8')).toBe('changed');
    const whiteout = lstatSync(join(dir, 'snapshots/3/fs/file'));
    expect([whiteout.isCharacterDevice(), whiteout.rdev]).toEqual([true, 0]);

    const view = mounted(await snapshots.view('view', 'base-layer'));
    expect(() => writeFileSync(join(view, 'file'), 'x')).toThrow('EROFS');
    expect(mountinfo(view)).toContain(' ro,');
    await snapshots.close();
  });

  test('removes at its opening what a crash left, and nothing that is known', async () => {
    const dir = scratch();
    const before = await overlayfsSnapshotter(dir);
    await before.prepare('a', '');
    await before.close();
    mkdirSync(join(dir, 'snapshots/new-x1/fs'), { recursive: true });
    mkdirSync(join(dir, 'snapshots/2/fs'), { recursive: true });
    writeFileSync(join(dir, 'metadata.json.tmp-1'), '{"ver');
    const after = await overlayfsSnapshotter(dir);
    expect(readdirSync(join(dir, 'snapshots'))).toEqual(['1']);
    await after.prepare('b', '');
    expect(readdirSync(join(dir, 'snapshots'))).toEqual(['1', '2']);
    await after.close();
  });

  test('says that its metadata is damaged or too new, changes nothing, and does not stay locked', async () => {
    const dir = scratch();
    const before = await overlayfsSnapshotter(dir);
    await before.prepare('a', '');
    await before.close();
    const path = join(dir, 'metadata.json');
    const whole = readFileSync(path, 'utf8');
    for (const [text, reason] of [
      [whole.slice(0, 40), /metadata\.json is damaged/],
      [whole.replace('"version": 1', '"version": 2'), /is of version 2: this program reads version 1/],
    ] as const) {
      writeFileSync(path, text);
      await expect(overlayfsSnapshotter(dir)).rejects.toThrow(reason);
      expect(readFileSync(path, 'utf8')).toBe(text);
      expect(readdirSync(join(dir, 'snapshots'))).toEqual(['1']);
    }
    writeFileSync(path, whole);
    const after = await overlayfsSnapshotter(dir);
    expect((await after.list()).map(({ name }) => name)).toEqual(['a']);
    await after.close();
    await expect(overlayfsSnapshotter(`${dir}/a:b`)).rejects.toThrow('take no path with');
  });

  test('belongs to one process, and is free again when that is killed; no snapshot it promised is lost', async () => {
    const dir = scratch();
    const index = resolve('chapters/04-overlayfs/index.ts');
    const program = `import(${JSON.stringify(index)}).then(async ({ overlayfsSnapshotter }) => {
      const snapshots = await overlayfsSnapshotter(${JSON.stringify(dir)});
      for (let i = 0; ; i++) { await snapshots.prepare('s' + i, ''); console.log('s' + i); }
    });`;
    const child = spawn(process.execPath, ['--import', 'tsx', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: 60_000,
    });
    const ended = once(child, 'close');
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    try {
      while (output.split('\n').length < 20) {
        await Promise.race([once(child.stdout, 'data'), ended]);
        expect([child.exitCode, child.signalCode]).toEqual([null, null]);
      }
      await expect(overlayfsSnapshotter(dir)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    } finally {
      child.kill('SIGKILL');
      await ended;
    }

    const snapshots = await overlayfsSnapshotter(dir);
    const known = new Set((await snapshots.list()).map(({ name }) => name));
    for (const promised of output.trim().split('\n')) expect(known).toContain(promised);
    for (const name of known) {
      const [mount] = await snapshots.mounts(name);
      expect(statSync(mount!.source).isDirectory()).toBe(true);
    }
    expect(readdirSync(join(dir, 'snapshots')).length).toBe(known.size);
    await snapshots.close();
  });
});

describe('mountAll', () => {
  test('leaves nothing mounted when a later mount fails', () => {
    const [a, target] = [scratch(), unmountLater(scratch())];
    expect(() =>
      mountAll(
        [
          { type: 'bind', source: a, options: ['rbind', 'ro'] },
          // Two: older kernels refuse one without an upper before they look for it.
          { type: 'overlay', source: 'overlay', options: ['lowerdir=/nowhere:/neither'] },
        ],
        target,
      ),
    ).toThrow(/^mount "overlay" on ".*": ENOENT/);
    expect(mountinfo(target)).toBe('');
  });

  test('unmountAll takes away everything that is stacked there, and is content with nothing', () => {
    const [a, target] = [scratch(), unmountLater(scratch())];
    mountAll([{ type: 'bind', source: a, options: ['rbind'] }], target);
    mountAll([{ type: 'tmpfs', source: 'tmpfs', options: ['size=64k', 'nosuid'] }], target);
    expect(mountinfo(target).split('\n').length).toBe(2);
    unmountAll(target);
    expect(mountinfo(target)).toBe('');
    unmountAll(target);
    unmountAll(join(target, 'nothing'));
  });
});
