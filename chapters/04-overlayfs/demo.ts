import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  createReadStream,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demo, readMountinfo } from '../01-processes/index.ts';
import { mount, umount } from '../02-namespaces/index.ts';
import { smallBuild } from './demo-build.ts';
import { copyUpFileByFile, manyLayers } from './demo-copy-up.ts';
import { pushAndPull } from './demo-push-pull.ts';
import { costs } from './demo-snapshots.ts';
import {
  applyLayer,
  changesOf,
  diffLayer,
  digestHex,
  getXattr,
  isWhiteout,
  loadArchive,
  makeBaseImage,
  mountAll,
  openContentStore,
  openImageStore,
  overlayfsSnapshotter,
  readTar,
  resolveImage,
  tarHeader,
  unmountAll,
  unpackImage,
  writeTar,
  type Descriptor,
} from './index.ts';

await demo('04 overlayfs: what a container is made of', async (d) => {
  const root = mkdtempSync(join(tmpdir(), 'o4-demo-'));
  d.cleanup(`remove ${root}`, () => rmSync(root, { recursive: true, maxRetries: 5 }));
  const at = (...path: string[]): string => join(root, ...path);
  const read = (...path: string[]): string => readFileSync(at(...path), 'utf8').trim();

  await d.step('Without layers', {
    why: 'Two containers that start from one directory change it under each other’s feet; a copy for each costs its whole size.',
    run: (s) => {
      mkdirSync(at('shared/etc'), { recursive: true });
      writeFileSync(at('shared/etc/motd'), 'welcome\n');
      appendFileSync(at('shared/etc/motd'), 'container a was here\n');
      s.evidence('etc/motd as container b reads it', { b: JSON.stringify(read('shared/etc/motd')) });
      s.claim('b sees what a wrote', read('shared/etc/motd').includes('a was here'));
    },
  });

  for (const dir of ['lower/etc', 'lower/cache', 'upper', 'work', 'merged'])
    mkdirSync(at(dir), { recursive: true });
  writeFileSync(at('lower/etc/motd'), 'welcome\n');
  writeFileSync(at('lower/etc/issue'), 'Debian\n');
  writeFileSync(at('lower/cache/old'), 'old\n');
  writeFileSync(at('lower/big'), Buffer.alloc(8 * 1024 * 1024, 1));

  await d.step('Two directories seen as one', {
    why: 'overlayfs shows a lower directory that nobody may change through an upper one that takes every change.',
    run: (s) => {
      const data = `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`;
      mount({ source: 'overlay', target: at('merged'), type: 'overlay', data });
      d.cleanup(`unmount ${at('merged')}`, () => umount(at('merged')));
      s.call('mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work")', 0);
      const entry = readMountinfo()?.find(({ mountPoint }) => mountPoint === at('merged'));
      s.evidence('/proc/self/mountinfo', { type: entry?.type, options: entry?.superOptions });
      s.evidence('the same file, read', {
        lower: read('lower/etc/motd'),
        merged: read('merged/etc/motd'),
        upper: readdirSync(at('upper')).join(' ') || '(empty)',
      });
      s.claim('merged shows the lower file', read('merged/etc/motd') === 'welcome');
      s.claim('reading has copied nothing', readdirSync(at('upper')).length === 0);
    },
  });

  await d.step('Writing copies up', {
    why: 'The first write to a file of the lower layer copies it, whole, into the upper one. That is the price of copy-on-write.',
    run: (s) => {
      appendFileSync(at('merged/etc/motd'), 'and goodbye\n');
      s.call('open("merged/etc/motd", O_WRONLY|O_APPEND); write("and goodbye")', 12);
      s.evidence('etc/motd', {
        lower: JSON.stringify(read('lower/etc/motd')),
        upper: JSON.stringify(read('upper/etc/motd')),
        merged: JSON.stringify(read('merged/etc/motd')),
      });
      s.claim('the lower file is as it was', read('lower/etc/motd') === 'welcome');
      s.claim('the upper directory has the whole file', read('upper/etc/motd') === 'welcome\nand goodbye');
      appendFileSync(at('merged/big'), '!');
      s.call('open("merged/big", O_WRONLY|O_APPEND); write("!")', 1);
      s.evidence('one byte written to a file of 8 MiB', {
        'upper/big, bytes': statSync(at('upper/big')).size,
      });
      s.claim('all of it was copied', statSync(at('upper/big')).size === 8 * 1024 * 1024 + 1);
    },
  });

  await d.step('Deleting leaves a whiteout', {
    why: 'The lower file cannot be removed, so the upper directory gets a mark that hides it: a character device with the number 0/0.',
    run: (s) => {
      rmSync(at('merged/etc/issue'));
      s.call('unlink("merged/etc/issue")', 0);
      s.evidence('etc/issue', {
        lower: JSON.stringify(read('lower/etc/issue')),
        upper: execFileSync('stat', ['-c', '%F %t/%T', at('upper/etc/issue')], { encoding: 'utf8' }).trim(),
        merged: readdirSync(at('merged/etc')).includes('issue') ? 'there' : 'not there',
      });
      s.claim('upper has a character device 0/0', isWhiteout(lstatSync(at('upper/etc/issue'))));
      s.claim('the lower file is still there', read('lower/etc/issue') === 'Debian');
      s.claim('merged does not show it', !readdirSync(at('merged/etc')).includes('issue'));
    },
  });

  await d.step('A directory made anew is opaque', {
    why: 'A new directory in the place of a deleted one must not show the old one’s files: an extended attribute says so.',
    run: (s) => {
      rmSync(at('merged/cache'), { recursive: true });
      mkdirSync(at('merged/cache'));
      s.call('rmdir("merged/cache"); mkdir("merged/cache")', 0);
      s.evidence('cache', {
        lower: readdirSync(at('lower/cache')).join(' '),
        'upper, trusted.overlay.opaque': getXattr(at('upper/cache'), 'trusted.overlay.opaque'),
        merged: readdirSync(at('merged/cache')).join(' ') || '(empty)',
      });
      s.claim(
        'the attribute says y',
        getXattr(at('upper/cache'), 'trusted.overlay.opaque')?.toString() === 'y',
      );
      s.claim('nothing of the lower directory shows', readdirSync(at('merged/cache')).length === 0);
    },
  });

  await d.step('What has changed, and as a layer', {
    why: 'The upper directory is the change. docker diff lists it; docker commit packs it as a tar, where marks are files named .wh.',
    run: async (s) => {
      const changes = changesOf({ upper: at('upper'), lowers: [at('lower')] });
      s.evidence('docker diff would say', Object.fromEntries(changes.map(({ kind, path }) => [path, kind])));
      const names: string[] = [];
      for await (const { header } of readTar(diffLayer(at('upper')))) names.push(header.name);
      s.evidence('the layer’s entries', { tar: names.join(' ') });
      s.claim(
        'the deletion is known',
        changes.some(({ kind, path }) => kind === 'D' && path === '/etc/issue'),
      );
      s.claim('the whiteout is spelled etc/.wh.issue', names.includes('etc/.wh.issue'));
      s.claim('the opaque mark is spelled cache/.wh..wh..opq', names.includes('cache/.wh..wh..opq'));
      mkdirSync(at('applied'));
      await applyLayer(diffLayer(at('upper')), at('applied'), { whiteouts: 'overlay' });
      s.claim(
        'unpacked again, it is a character device again',
        isWhiteout(lstatSync(at('applied/etc/issue'))),
      );
    },
  });

  await d.step('Copy-up, file by file', {
    why: 'What is copied when only the mode changes, when a file has two names, when a directory is renamed? The kernel has options for each; Docker leaves them off.',
    run: (s) => copyUpFileByFile(s, at('copy-up')),
  });

  await d.step('A hundred and twenty-eight layers', {
    why: 'mount(2) takes its options in one page of 4096 bytes. The new mount API takes them one by one.',
    run: (s) => manyLayers(s, at('many')),
  });

  const content = await openContentStore(at('content'));
  const images = await openImageStore(root);
  const snapshots = await overlayfsSnapshotter(at('snapshots'));
  const stores = { content, images, snapshots };
  let top = '';
  let base: Descriptor;

  await d.step('An image, by digest', {
    why: 'Layers, configuration and manifest are files whose names are made from their bytes: whoever has the name can check the bytes.',
    run: async (s) => {
      const made = await makeBaseImage({ out: at('busybox.tar') });
      const again = await makeBaseImage({ out: at('again.tar') });
      s.claim('the same busybox gives the same digest', made.target.digest === again.target.digest);
      const [image] = await loadArchive(createReadStream(at('busybox.tar')), stores);
      const { manifest, config } = await resolveImage(content, made.target);
      s.evidence(image!.names.join(), {
        manifest: made.target.digest,
        config: manifest.config.digest,
        layer: `${manifest.layers[0]!.digest}, ${manifest.layers[0]!.size} bytes`,
        diffID: config.rootfs.diff_ids[0],
      });
      const blob = at('content/blobs/sha256', digestHex(manifest.config.digest));
      const bytes = readFileSync(blob);
      writeFileSync(blob, bytes.toString().replace('"sh"', '"su"'));
      const refusal = await content.readAll(manifest.config.digest).catch((error: Error) => error.message);
      writeFileSync(blob, bytes);
      s.evidence('after one letter of the configuration was changed on the disk', { refusal });
      s.claim('the store noticed', String(refusal).includes('is damaged'));
      base = made.target;
      top = await unpackImage(stores, base);
      s.evidence('unpacked', { 'snapshot (its chain ID)': top });
    },
  });

  await d.step('Two containers on one image', {
    why: 'Each gets an upper directory of its own and the same lower one: it starts at once and costs only what it changes.',
    run: async (s) => {
      for (const name of ['a', 'b']) {
        const mounts = await snapshots.prepare(name, top);
        mkdirSync(at(name));
        mountAll(mounts, at(name));
        s.cleanup(`unmount ${at(name)}`, () => unmountAll(at(name)));
        const options = mounts[0]!.options;
        s.call(`mount("overlay", "${name}", "overlay", 0, "${options.join().replaceAll(root, '…')}")`, 0);
      }
      const inside = (name: string, command: string): string =>
        execFileSync('chroot', [at(name), '/bin/sh', '-c', command], { encoding: 'utf8' }).trim();
      inside('a', 'echo a > /etc/hostname; rm /etc/shells');
      s.evidence('ls /etc, run inside by the image’s own shell', {
        a: inside('a', 'ls /etc').replaceAll('\n', ' '),
        b: inside('b', 'ls /etc').replaceAll('\n', ' '),
      });
      const size = async (key: string): Promise<number> => (await snapshots.usage(key)).size;
      s.evidence('bytes on the disk', { image: await size(top), a: await size('a'), b: await size('b') });
      s.claim(
        'b does not see what a did',
        inside('b', 'ls /etc/shells') === '/etc/shells' && !inside('b', 'ls /etc').includes('hostname'),
      );
      const inodes = ['a', 'b'].map((name) => statSync(at(name, 'bin/busybox')).ino);
      s.evidence('inode of /bin/busybox', { a: inodes[0], b: inodes[1] });
      s.claim('both run the one busybox there is', inodes[0] === inodes[1]);
      s.claim(
        'a container costs less than a hundredth of its image',
        (await size('a')) * 100 < (await size(top)),
      );
    },
  });

  let built: [Descriptor, Descriptor];
  await d.step('A Dockerfile is a list of layers', {
    why: 'A build does one thing after the other to an image. Of what was done before with the same input, it takes what came of it.',
    run: async (s) => {
      built = await smallBuild(s, stores, base, root);
    },
  });

  mkdirSync(at('wire'));
  await d.step('A registry', {
    why: 'Over the wire go the same files under the same digests: what the other side has is not sent, and what comes is checked.',
    run: (s) => pushAndPull(s, content, built, at('wire')),
  });

  mkdirSync(at('ways'));
  await d.step('Three ways to keep a snapshot', {
    why: 'overlayfs is one way to give two containers one image. A copy needs no help of the kernel; btrfs copies blocks instead of files.',
    run: (s) => costs(s, at('ways')),
  });

  await d.step('Attack: a layer that climbs out', {
    why: 'A layer is a stranger’s tar. Unpacked by root without care, a link in it and a name behind that link write anywhere.',
    run: async (s) => {
      mkdirSync(at('outside'));
      writeFileSync(at('outside/passwd'), 'root:x:0:0\n');
      const evil = 'evil::0:0\n';
      const hostile = (): AsyncGenerator<Buffer> =>
        writeTar([
          { header: tarHeader({ name: 'way', type: 'symlink', linkname: at('outside') }) },
          { header: tarHeader({ name: 'way/passwd', size: evil.length }), body: Buffer.from(evil) },
        ]);

      mkdirSync(at('careless'));
      for await (const { header, body } of readTar(hostile())) {
        const path = join(at('careless'), header.name);
        if (header.type === 'symlink') symlinkSync(header.linkname, path);
        else for await (const chunk of body) writeFileSync(path, chunk);
      }
      s.call('symlink("OUTSIDE", "careless/way"); open("careless/way/passwd", O_WRONLY|O_TRUNC)', 'written');
      s.evidence('the file outside, after a careless unpacking', { passwd: read('outside/passwd') });
      s.claim('the careless way was had', read('outside/passwd') === 'evil::0:0');

      writeFileSync(at('outside/passwd'), 'root:x:0:0\n');
      for (const [what, layer] of [
        ['a link and a name behind it', hostile()],
        ['a name with ..', writeTar([{ header: tarHeader({ name: '../outside/passwd' }) }])],
        ['a whiteout of ..', writeTar([{ header: tarHeader({ name: 'etc/.wh...' }) }])],
      ] as const) {
        const dir = mkdtempSync(at('careful-'));
        const refusal = await applyLayer(layer, dir).then(String, (error: Error) => error.message);
        s.call(`openat2(root, …, RESOLVE_IN_ROOT): ${what}`, refusal.replaceAll(root, '…'));
        s.claim('refused', refusal.includes('refused'));
      }
      s.claim('the file outside is as it was', read('outside/passwd') === 'root:x:0:0');
    },
  });
});
