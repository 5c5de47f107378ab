import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
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
import { startDocker, type DockerEngine } from './docker-harness.ts';
import { needsRoot, scratch } from './scratch.ts';

needsRoot();

const NAME = 'docker.io/library/busybox:latest';

let engine: DockerEngine;
beforeAll(async () => void (engine = await startDocker()));
afterAll(() => engine.stop());

describe('archives and the programs of others', () => {
  test('containerd and Docker load the base image under the same name and digests', async () => {
    const { dir, ctr, docker } = engine;
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
    const { dir, ctr, docker } = engine;
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
