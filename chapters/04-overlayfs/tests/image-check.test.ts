import { describe, expect, test } from 'vitest';
import {
  chainIds,
  digestOf,
  loadArchive,
  MEDIA_TYPE,
  openContentStore,
  openImageStore,
  resolveImage,
  tarHeader,
  writeBlob,
  writeTar,
  type ContentStore,
  type Descriptor,
} from '../index.ts';
import { scratch } from './scratch.ts';

const put = async (content: ContentStore, mediaType: string, value: unknown): Promise<Descriptor> => {
  const { digest, size } = await writeBlob(content, Buffer.from(JSON.stringify(value)));
  return { mediaType, digest, size };
};

const DIFF_ID = digestOf('layer');
const blob = { digest: DIFF_ID, size: 5 };
const whole = { os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [DIFF_ID] } };

/** An image whose documents stand in a store as they are given. */
async function imageOf(config: unknown, manifest: object = { layers: [blob] }) {
  const content = await openContentStore(scratch());
  const target = await put(content, MEDIA_TYPE.manifest, {
    schemaVersion: 2,
    config: await put(content, MEDIA_TYPE.config, config),
    ...manifest,
  });
  return { content, target };
}

describe('documents from outside', () => {
  test('are taken with all that Docker and the specification put in them, and null for what is not there', async () => {
    const config = {
      Env: ['A=1'],
      Cmd: null,
      Entrypoint: ['/x'],
      Labels: null,
      ExposedPorts: { '80/tcp': {} },
      Healthcheck: { Test: ['CMD', 'a'], Interval: 5e9 },
      OnBuild: null,
      Hostname: '',
    };
    const { content, target } = await imageOf({
      ...whole,
      config,
      history: [{ created_by: 'x', empty_layer: true }],
    });
    const image = await resolveImage(content, target);
    expect(image.config.config).toEqual(config);
    expect(chainIds(image.config.rootfs.diff_ids)).toEqual([DIFF_ID]);
  });

  test.each([
    ['null', null, 'it must be an object, and is null'],
    ['a list', [], 'it must be an object'],
    ['without layers', { os: 'linux' }, 'rootfs must be an object, and is nothing'],
    ['whose layer is no digest', { rootfs: { diff_ids: ['../x'] } }, 'rootfs.diff_ids[0] must be sha256:'],
    [
      'with a number for a variable',
      { ...whole, config: { Env: [1] } },
      'config.Env[0] must be a text, and is 1',
    ],
    ['with a text for a command', { ...whole, config: { Cmd: 'sh' } }, 'config.Cmd must be a list'],
    ['with a list of labels', { ...whole, config: { Labels: [] } }, 'config.Labels must be an object'],
    ['with a history of texts', { ...whole, history: ['x'] }, 'history[0] must be an object'],
  ])('a configuration %s is refused, and says where', async (_what, config, message) => {
    const { content, target } = await imageOf(config);
    await expect(resolveImage(content, target)).rejects.toMatchObject({
      code: 'DATA_LOSS',
      message: expect.stringContaining(message) as string,
    });
  });

  test.each([
    ['layers that are null', { layers: [null] }, 'layers[0] must be an object, and is null'],
    ['a layer without size', { layers: [{ digest: DIFF_ID }] }, 'layers[0].size must be a number of bytes'],
    [
      'annotations that are no text',
      { layers: [blob], annotations: { a: 1 } },
      'annotations.a must be a text',
    ],
    ['too many layers', { layers: Array.from({ length: 1001 }, () => blob) }, '1001 layers: at most 1000'],
  ])('a manifest with %s is refused', async (_what, manifest, message) => {
    const { content, target } = await imageOf(whole, manifest);
    await expect(resolveImage(content, target)).rejects.toThrow(message);
  });

  test.each([
    ['without manifests', {}, 'manifests must be a list, and is nothing'],
    ['whose manifests are null', { manifests: [null] }, 'manifests[0] must be an object, and is null'],
    [
      'whose platform is a text',
      { manifests: [{ ...blob, platform: 'linux' }] },
      'manifests[0].platform must be',
    ],
  ])('an index %s is refused', async (_what, index, message) => {
    const content = await openContentStore(scratch());
    const target = await put(content, MEDIA_TYPE.index, index);
    await expect(resolveImage(content, target)).rejects.toThrow(message);
  });

  test('a document of gigabytes is not read into memory', async () => {
    const { content, target } = await imageOf(whole);
    const info = content.info;
    content.info = async (digest) => ({ ...(await info(digest)), size: 2 ** 32 });
    await expect(resolveImage(content, target)).rejects.toThrow('of 4294967296 bytes is no document');
  });

  test.each([
    ['index.json', { manifests: [{ ...blob, annotations: { 'io.containerd.image.name': 7 } }] }],
    ['index.json', null],
    ['manifest.json', [null]],
    ['manifest.json', { Config: 'x' }],
    ['manifest.json', [{ Config: 7, Layers: [] }]],
    ['manifest.json', [{ Config: 'x', Layers: 'y' }]],
    ['manifest.json', [{ Config: 'x', Layers: [], RepoTags: ['a', 1] }]],
  ])('an archive whose %s is %j is refused, and keeps nothing', async (name, value) => {
    const content = await openContentStore(scratch());
    const images = await openImageStore(scratch());
    const body = Buffer.from(JSON.stringify(value));
    const archive = writeTar([{ header: tarHeader({ name, size: body.length }), body }]);
    await expect(loadArchive(archive, { content, images })).rejects.toMatchObject({
      name: 'StoreError',
      message: expect.stringContaining(name) as string,
    });
    expect(await content.list()).toEqual([]);
  });
});
