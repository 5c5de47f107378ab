import { execFileSync } from 'node:child_process';
import { createReadStream, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import {
  chainIds,
  digestOf,
  findBusybox,
  hostPlatform,
  isStaticElf,
  loadArchive,
  makeBaseImage,
  MEDIA_TYPE,
  mountAll,
  openContentStore,
  openImageStore,
  overlayfsSnapshotter,
  readTar,
  resolveImage,
  saveArchive,
  tarHeader,
  unpackImage,
  writeBlob,
  writeTar,
  type ContentStore,
  type Descriptor,
  type Digest,
  type ImageStore,
  type LoadedImage,
  type Snapshotter,
} from '../index.ts';
import { needsRoot, scratch, unmountLater } from './scratch.ts';

needsRoot();

interface Stores {
  dir: string;
  content: ContentStore;
  images: ImageStore;
  snapshots: Snapshotter;
}

async function stores(): Promise<Stores> {
  const dir = scratch();
  return {
    dir,
    content: await openContentStore(join(dir, 'content')),
    images: await openImageStore(dir),
    snapshots: await overlayfsSnapshotter(join(dir, 'snapshots')),
  };
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

type Files = Record<string, string | Buffer>;

function tarOf(files: Files, links: Record<string, string> = {}): Promise<Buffer> {
  const bodies = Object.entries(files).map(([name, text]) => ({
    header: tarHeader({ name, size: Buffer.byteLength(text) }),
    body: Buffer.from(text),
  }));
  const symlinks = Object.entries(links).map(([name, linkname]) => ({
    header: tarHeader({ name, type: 'symlink', linkname }),
  }));
  return collect(writeTar([...bodies, ...symlinks]));
}

async function* streamOf(data: Buffer): AsyncGenerator<Buffer> {
  yield* [data];
}

const load = (data: Buffer, to: Stores): Promise<LoadedImage[]> => loadArchive(streamOf(data), to);

/** What docker save wrote before there were OCI layouts. */
async function dockerSave(
  layers: Buffer[],
  tags: string[] = ['app:1'],
): Promise<{ tar: Buffer; config: Buffer }> {
  const diff_ids = layers.map(digestOf);
  const config = Buffer.from(
    JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids } }),
  );
  const name = `${digestOf(config).slice(7)}.json`;
  const files: Files = { [name]: config };
  layers.forEach((layer, i) => (files[`layer${i}/layer.tar`] = layer));
  files['manifest.json'] = JSON.stringify([
    { Config: name, RepoTags: tags, Layers: layers.map((_, i) => `layer${i}/layer.tar`) },
  ]);
  return { tar: await tarOf(files), config };
}

describe('the base image', () => {
  test('is the same every time, byte for byte', async () => {
    const dir = scratch();
    const [a, b] = [join(dir, 'a.tar'), join(dir, 'b.tar')];
    const first = await makeBaseImage({ busybox: findBusybox(), out: a });
    const second = await makeBaseImage({ out: b });
    expect(second).toEqual(first);
    expect(readFileSync(a).equals(readFileSync(b))).toBe(true);
    expect(readdirSync(dir).sort()).toEqual(['a.tar', 'b.tar']);
  });

  test('loads, unpacks and runs: every applet is there and is busybox', async () => {
    const to = await stores();
    const out = join(scratch(), 'base.tar');
    const made = await makeBaseImage({ out });
    const [image] = await loadArchive(createReadStream(out), to);
    expect(image).toEqual({
      names: ['docker.io/library/busybox:latest'],
      target: made.target,
      imageId: made.imageId,
    });
    expect((await to.images.get('docker.io/library/busybox:latest')).target).toEqual(made.target);
    const top = await unpackImage(to, made.target);
    const merged = unmountLater(scratch());
    mountAll(await to.snapshots.prepare('container', top), merged);
    const shown = execFileSync('chroot', [merged, '/bin/sh', '-c', 'id; ls /; env; stat -c %a /tmp'], {
      encoding: 'utf8',
      env: { A: 'b', PATH: '/usr/sbin:/usr/bin:/bin' },
    });
    expect(shown).toContain('uid=0(root) gid=0(root)');
    expect(shown).toContain('bin\ndev\netc\nhome\nproc\nroot\nsys\ntmp\nusr\nvar\n');
    expect(shown).toContain('A=b');
    expect(shown).toContain('1777');
    const applets = execFileSync(findBusybox(), ['--list'], { encoding: 'utf8' }).trim().split('\n');
    expect(readdirSync(join(merged, 'bin')).sort()).toEqual([...new Set([...applets, 'busybox'])].sort());
    expect(statSync(join(merged, 'bin/sh')).ino).toBe(statSync(join(merged, 'bin/busybox')).ino);
    await to.snapshots.close();
  });

  test('is refused of a program that needs shared libraries, and nothing is written', async () => {
    const out = join(scratch(), 'base.tar');
    expect(isStaticElf(readFileSync(findBusybox()))).toBe(true);
    await expect(makeBaseImage({ busybox: process.execPath, out })).rejects.toThrow(
      /is no static program.*busybox-static/,
    );
    expect(readdirSync(join(out, '..'))).toEqual([]);
  });
});

describe('loadArchive', () => {
  test('reads what docker save wrote, layers behind links and gzip included', async () => {
    const to = await stores();
    const one = await tarOf({ a: 'one' });
    const { config } = await dockerSave([one, one], ['app:1', 'other/app:2']);
    const name = `${digestOf(config).slice(7)}.json`;
    const table = [
      { Config: name, RepoTags: ['app:1', 'other/app:2'], Layers: ['x/layer.tar', 'y/layer.tar'] },
    ];
    const tar = await tarOf(
      { [name]: config, 'x/layer.tar': one, 'x/VERSION': '1.0', 'manifest.json': JSON.stringify(table) },
      { 'y/layer.tar': '../x/layer.tar' },
    );
    const [image] = await load(gzipSync(tar), to);
    expect(image!.names).toEqual(['docker.io/library/app:1', 'docker.io/other/app:2']);
    expect(image!.imageId).toBe(digestOf(config));
    const { manifest } = await resolveImage(to.content, image!.target);
    expect(manifest.layers.map(({ digest }) => digest)).toEqual([digestOf(one), digestOf(one)]);
    // config, layer and manifest; not the file VERSION, which no image needs
    expect((await to.content.list()).length).toBe(3);
    await to.snapshots.close();
  });

  test('what is saved can be loaded elsewhere, with the same digests', async () => {
    const [from, to] = [await stores(), await stores()];
    const { tar } = await dockerSave([await tarOf({ a: '1' }), await tarOf({ b: '2' })]);
    const [image] = await load(tar, from);
    const saved = await collect(
      saveArchive(from.content, [
        { names: ['docker.io/library/app:1', 'docker.io/library/app:2'], target: image!.target },
      ]),
    );
    const loaded = await load(saved, to);
    expect(loaded).toEqual([{ ...image, names: ['docker.io/library/app:1', 'docker.io/library/app:2'] }]);
    expect((await to.content.list()).map(({ digest }) => digest).sort()).toEqual(
      (await from.content.list()).map(({ digest }) => digest).sort(),
    );
    const names: string[] = [];
    for await (const { header } of readTar(streamOf(saved))) names.push(header.name);
    expect(names).toEqual(expect.arrayContaining(['oci-layout', 'index.json', 'manifest.json']));
    for (const each of [from, to]) await each.snapshots.close();
  });

  test.each<[string, () => Promise<Buffer>, string]>([
    ['no archive at all', () => tarOf({ hello: 'world' }), 'no image archive'],
    [
      'a blob that is not what its name says',
      () => tarOf({ [`blobs/sha256/${'a'.repeat(64)}`]: 'evil', 'index.json': '{"manifests":[]}' }),
      'announced was sha256:aaaa',
    ],
    [
      'an index that names what is not there',
      () =>
        tarOf({
          'index.json': JSON.stringify({
            manifests: [{ mediaType: MEDIA_TYPE.manifest, digest: digestOf('x'), size: 1 }],
          }),
        }),
      'not found',
    ],
    ['a table that is not JSON', () => tarOf({ 'manifest.json': '[{' }), 'is not JSON'],
    [
      'a table that names a file outside',
      () => tarOf({ 'manifest.json': JSON.stringify([{ Config: '../../etc/passwd', Layers: [] }]) }),
      'climbs out',
    ],
    ['a file that climbs out', () => tarOf({ '../x': 'evil' }), 'climbs out'],
    [
      'fewer layers than the configuration says',
      async () => {
        const { tar } = await dockerSave([await tarOf({ a: '1' })]);
        const files: Files = {};
        for await (const { header, body } of readTar(streamOf(tar))) files[header.name] = await collect(body);
        const [line] = JSON.parse(files['manifest.json']!.toString()) as [{ Layers: string[] }];
        files['manifest.json'] = JSON.stringify([{ ...line, Layers: [] }]);
        return tarOf(files);
      },
      '1 diff_ids for 0 layers',
    ],
    [
      'a name that is none',
      async () => (await dockerSave([await tarOf({ a: '1' })], ['App:1'])).tar,
      'must be lowercase',
    ],
  ])('%s is refused, and nothing of it is kept', async (_, archive, reason) => {
    const to = await stores();
    await expect(load(await archive(), to)).rejects.toThrow(reason);
    expect(await to.content.list()).toEqual([]);
    expect(await to.content.statuses()).toEqual([]);
    expect(await to.images.list()).toEqual([]);
    await to.snapshots.close();
  });

  test('a cut archive keeps nothing, but what was in the store before', async () => {
    const to = await stores();
    const layer = await tarOf({ a: '1' });
    await load((await dockerSave([layer])).tar, to);
    const before = (await to.content.list()).map(({ digest }) => digest);
    const { tar } = await dockerSave([layer, await tarOf({ b: '2' })], ['app:2']);
    await expect(load(tar.subarray(0, tar.length - 2048), to)).rejects.toThrow('cut off');
    expect((await to.content.list()).map(({ digest }) => digest)).toEqual(before);
    await to.snapshots.close();
  });
});

describe('unpackImage', () => {
  test('names snapshots by chain ID, and images share the layers that they have in common', async () => {
    const to = await stores();
    const [base, one, two] = [await tarOf({ base: '' }), await tarOf({ one: '' }), await tarOf({ two: '' })];
    const [first] = await load((await dockerSave([base, one])).tar, to);
    const [second] = await load((await dockerSave([base, two], ['app:2'])).tar, to);
    const tops = await Promise.all([unpackImage(to, first!.target), unpackImage(to, second!.target)]);
    const [a, b, c] = [base, one, two].map(digestOf) as [Digest, Digest, Digest];
    expect(tops).toEqual([chainIds([a, b])[1], chainIds([a, c])[1]]);
    expect((await to.snapshots.list()).map(({ name, kind }) => `${kind} ${name}`).sort()).toEqual(
      [a, ...tops].map((name) => `committed ${name}`).sort(),
    );
    for (const top of tops) expect((await to.snapshots.stat(top)).parent).toBe(a);
    const view = unmountLater(scratch());
    mountAll(await to.snapshots.view('v', tops[0]!), view);
    expect(readdirSync(view).sort()).toEqual(['base', 'one']);
    expect(await unpackImage(to, first!.target)).toBe(tops[0]);
    await to.snapshots.close();
  });

  test('a layer that is not what the configuration says is refused, and leaves no snapshot', async () => {
    const to = await stores();
    const { tar } = await dockerSave([await tarOf({ a: 'expected' })]);
    const files: Files = {};
    for await (const { header, body } of readTar(streamOf(tar))) files[header.name] = await collect(body);
    files['layer0/layer.tar'] = await tarOf({ a: 'swapped!' });
    const [image] = await load(await tarOf(files), to);
    await expect(unpackImage(to, image!.target)).rejects.toMatchObject({ code: 'DATA_LOSS' });
    expect(await to.snapshots.list()).toEqual([]);
    await to.snapshots.close();
  });

  test('a blob damaged on the disk is refused, and leaves no snapshot', async () => {
    const to = await stores();
    const layer = await tarOf({ a: 'expected' });
    const [image] = await load((await dockerSave([layer])).tar, to);
    const blob = join(to.dir, 'content/blobs/sha256', digestOf(layer).slice(7));
    writeFileSync(
      blob,
      Buffer.concat([layer.subarray(0, 512), Buffer.from('damage!!'), layer.subarray(520)]),
    );
    await expect(unpackImage(to, image!.target)).rejects.toThrow(`content ${digestOf(layer)} is damaged`);
    expect(await to.snapshots.list()).toEqual([]);
    await to.snapshots.close();
  });

  test('goes on after a process that was killed in the middle of a layer', async () => {
    const to = await stores();
    const layer = await tarOf({ a: '' });
    const [image] = await load((await dockerSave([layer])).tar, to);
    const [mount] = await to.snapshots.prepare(`extract-${digestOf(layer).slice(7)}`, '');
    writeFileSync(join(mount!.source, 'half'), '');
    const top = await unpackImage(to, image!.target);
    const view = unmountLater(scratch());
    mountAll(await to.snapshots.view('v', top), view);
    expect(readdirSync(view)).toEqual(['a']);
    await to.snapshots.close();
  });

  test('annotations go with an image: those of its manifest and of its layers are saved and loaded as they are', async () => {
    const [from, to] = [await stores(), await stores()];
    const [image] = await load((await dockerSave([await tarOf({ a: '' })])).tar, from);
    const { manifest } = await resolveImage(from.content, image!.target);
    const annotated = {
      ...manifest,
      annotations: { 'org.opencontainers.image.licenses': 'Apache-2.0', 'com.example.ünicode': '"\\ "' },
      layers: manifest.layers.map((layer) => ({ ...layer, annotations: { 'com.example.layer': 'lowest' } })),
    };
    const bytes = Buffer.from(JSON.stringify(annotated, null, 3));
    const { added: _, ...blob } = await writeBlob(from.content, bytes);
    const target = { mediaType: MEDIA_TYPE.manifest, ...blob };
    const saved = await collect(saveArchive(from.content, [{ names: ['docker.io/library/app:1'], target }]));
    const [loaded] = await load(saved, to);
    expect(loaded!.target.digest).toBe(digestOf(bytes));
    expect((await resolveImage(to.content, loaded!.target)).manifest).toEqual(annotated);
    for (const each of [from, to]) await each.snapshots.close();
  });

  test('of an index, the image for this machine is taken', async () => {
    const to = await stores();
    const [image] = await load((await dockerSave([await tarOf({ a: '' })])).tar, to);
    const other: Descriptor = { ...image!.target, platform: { os: 'linux', architecture: 'mips' } };
    const indexOf = async (manifests: Descriptor[]): Promise<Descriptor> => {
      const { added: _, ...blob } = await writeBlob(
        to.content,
        Buffer.from(JSON.stringify({ schemaVersion: 2, manifests })),
      );
      return { mediaType: MEDIA_TYPE.index, ...blob };
    };
    const both = await indexOf([other, { ...image!.target, platform: hostPlatform() }]);
    expect((await resolveImage(to.content, both)).descriptor.platform).toEqual(hostPlatform());
    await expect(resolveImage(to.content, await indexOf([other]))).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
    });
    await to.snapshots.close();
  });
});
