import { execFileSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  changesOf,
  layersOf,
  loadArchive,
  makeBaseImage,
  mountAll,
  openContentStore,
  openImageStore,
  overlayfsSnapshotter,
  unmountAll,
  unpackImage,
} from '../index.ts';
import { startDocker, type DockerEngine } from './docker-harness.ts';
import { needsRoot, scratch, unmountLater } from './scratch.ts';

needsRoot();

let engine: DockerEngine;
beforeAll(async () => void (engine = await startDocker()));
afterAll(() => engine.stop());

/** What the image has. */
const BEFORE = `
  mkdir -p /t/plain/deep /t/opaque/sub /t/gone/deep /t/to-file /t/moved/sub /t/touched /t/perm /t/quiet /t/link
  for f in plain/a plain/b plain/deep/c opaque/x opaque/y opaque/sub/z gone/deep/f to-file/f moved/sub/m touched/t perm/p quiet/q
  do echo "$f" > "/t/$f"; done
  ln /t/plain/a /t/link/hard; ln -s ../plain /t/link/soft
  mkfifo /t/pipe; echo file > /t/to-dir; echo 'set' > /t/perm/setuid; chmod 4755 /t/perm/setuid
  printf 'odd' > "/t/$(printf 'caf\\351')"; echo > /t/ü`;

/** What the container does. */
const AFTER = `
  echo more >> /t/plain/a; rm /t/plain/b; echo new > /t/plain/new
  rm -r /t/opaque; mkdir /t/opaque; echo again > /t/opaque/x; mkdir /t/opaque/fresh
  rm -r /t/gone
  rm -r /t/to-file; echo now-a-file > /t/to-file
  rm /t/to-dir; mkdir /t/to-dir; echo in > /t/to-dir/in
  mv /t/moved /t/moved-away
  touch -d '2001-02-03 04:05:06' /t/touched/t
  chmod 600 /t/perm/p; chown 12:34 /t/perm/setuid
  : >> /t/quiet/q
  echo x > /t/quiet/tmp; rm /t/quiet/tmp
  rm /t/link/soft; ln -s elsewhere /t/link/soft; ln /t/plain/deep/c /t/link/new-hard
  rm /t/pipe; mkfifo /t/pipe2; mknod /t/null c 1 3
  mkdir -p /n/e/w; echo w > /n/e/w/file; mkdir /empty
  rm "/t/$(printf 'caf\\351')"; echo > "/t/ü-$(printf '\\377')"; rm /t/ü
  chmod 700 /t/plain/deep; mkdir /t/made; rmdir /t/made`;

test('tells of the same work what docker diff tells', async () => {
  const { dir, docker } = engine;
  const image = join(dir, 'base.tar');
  const base = await makeBaseImage({ out: image });
  docker('load', '-i', image);
  const limits = ['--network', 'none', '--security-opt', 'seccomp=unconfined'];
  docker('run', ...limits, '--name', 'one', 'busybox', 'sh', '-ec', BEFORE);
  docker('commit', 'one', 'two');
  docker('run', ...limits, '--name', 'three', 'two', 'sh', '-ec', AFTER);
  const theirs = docker('diff', 'three').trim().split('\n').sort();
  expect(docker('info', '-f', '{{.Driver}}').trim()).toBe('overlay2');
  docker('rm', 'one', 'three');

  const [content, images] = [await openContentStore(scratch()), await openImageStore(scratch())];
  await loadArchive(createReadStream(image), { content, images });
  const snapshots = await overlayfsSnapshotter(scratch());
  let parent: string = await unpackImage({ content, snapshots }, base.target);
  for (const [key, script] of [
    ['one', BEFORE],
    ['two', AFTER],
  ] as const) {
    const mounts = await snapshots.prepare(key, parent);
    const root = unmountLater(scratch());
    mountAll(mounts, root);
    execFileSync('chroot', [root, '/bin/sh', '-ec', script]);
    if (key === 'two') {
      const ours = changesOf(layersOf(mounts)).map(({ kind, path }) => `${kind} ${path}`);
      // Names that are no UTF-8 reach Docker's client with U+FFFD for each byte, and siblings in no order.
      expect(ours.map((line) => line.replace(/[\udc80-\udcff]/gu, '\ufffd')).sort()).toEqual(theirs);
    }
    unmountAll(root);
    await snapshots.commit((parent = `done-${key}`), key);
  }
  await snapshots.close();
});
