import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  loadArchive,
  makeBaseImage,
  openContentStore,
  openImageStore,
  resolveImage,
  saveArchive,
  unpackImage,
  overlayfsSnapshotter,
} from '../index.ts';
import { needsRoot, scratch } from './scratch.ts';

needsRoot();

const NAME = 'docker.io/library/busybox:latest';

/** Real containerd and dockerd with places of their own; nothing of a running engine is touched. */
let dir: string;
const programs: ChildProcess[] = [];
const ctr = (...args: string[]): string =>
  execFileSync('ctr', ['--address', join(dir, 'containerd.sock'), ...args], {
    encoding: 'utf8',
    stdio: 'pipe',
  });
const docker = (...args: string[]): string =>
  execFileSync('docker', ['-H', `unix://${join(dir, 'docker.sock')}`, ...args], {
    encoding: 'utf8',
    stdio: 'pipe',
  });

async function start(program: string, args: string[], answers: () => unknown): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  programs.push(child);
  let log = '';
  child.stderr.on('data', (text: Buffer) => (log += text.toString()));
  for (let tries = 0; tries < 300; tries++) {
    try {
      answers();
      return;
    } catch {
      expect(child.exitCode, log.slice(-2000)).toBe(null);
      await sleep(100);
    }
  }
  throw new Error(`${program} does not answer: ${log.slice(-2000)}`);
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'o4-peer-'));
  const at = (name: string): string => join(dir, name);
  writeFileSync(at('config.toml'), 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n');
  const containerd = ['-c', at('config.toml'), '--root', at('ctd'), '--state', at('ctd-run')];
  await start('containerd', [...containerd, '--address', at('containerd.sock')], () => ctr('version'));
  mkdirSync(at('exec'));
  writeFileSync(at('daemon.json'), '{}');
  const dockerd = ['--config-file', at('daemon.json'), '--data-root', at('data'), '--exec-root', at('exec')];
  const quiet = ['--bridge', 'none', '--iptables=false', '--ip-masq=false', '--ip-forward=false'];
  const places = [
    '--host',
    `unix://${at('docker.sock')}`,
    '--pidfile',
    at('pid'),
    '--containerd',
    at('containerd.sock'),
  ];
  await start('dockerd', [...dockerd, ...quiet, ...places], () => docker('version'));
});

afterAll(async () => {
  for (const program of programs.reverse()) {
    if (program.exitCode !== null) continue;
    program.kill('SIGTERM');
    await once(program, 'exit');
  }
  rmSync(dir, { recursive: true, force: true });
});

describe('archives and the programs of others', () => {
  test('containerd and Docker load the base image under the same name and digests', async () => {
    const out = join(dir, 'base.tar');
    const made = await makeBaseImage({ out });
    ctr('images', 'import', out);
    expect(ctr('images', 'ls')).toContain(`${NAME} `);
    expect(ctr('images', 'ls')).toContain(made.target.digest);
    expect(docker('load', '-i', out)).toContain('Loaded image: busybox:latest');
    const [image] = JSON.parse(docker('image', 'inspect', 'busybox')) as [
      { Id: string; RootFS: { Layers: string[] }; Config: { Cmd: string[] } },
    ];
    expect(image.Id).toBe(made.imageId);
    expect(image.Config.Cmd).toEqual(['sh']);
  });

  test('what docker save and ctr export write is loaded with the same image, and saved again for Docker', async () => {
    const [saved, exported] = [join(dir, 'saved.tar'), join(dir, 'exported.tar')];
    docker('save', '-o', saved, 'busybox:latest');
    ctr('images', 'export', exported, NAME);
    const stores = async (): Promise<Parameters<typeof loadArchive>[1]> => ({
      content: await openContentStore(scratch()),
      images: await openImageStore(scratch()),
    });
    const [id] = docker('image', 'ls', '-q', '--no-trunc', 'busybox').trim().split('\n');
    for (const archive of [saved, exported]) {
      const to = await stores();
      const [image] = await loadArchive(createReadStream(archive), to);
      expect(image).toMatchObject({ names: [NAME], imageId: id });
      const snapshots = await overlayfsSnapshotter(scratch());
      const { config } = await resolveImage(to.content, image!.target);
      expect(await unpackImage({ ...to, snapshots }, image!.target)).toBe(config.rootfs.diff_ids[0]);
      await snapshots.close();

      const again = join(dir, 'again.tar');
      const names = ['docker.io/library/again:1'];
      await pipeline(saveArchive(to.content, [{ names, target: image!.target }]), createWriteStream(again));
      expect(docker('load', '-i', again)).toContain('again:1');
      expect(docker('image', 'ls', '-q', '--no-trunc', 'again').trim()).toBe(id);
    }
  });
});
