import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { chainIds, digestOf, MEDIA_TYPE, openImageStore, type Descriptor } from '../index.ts';
import { scratch } from './scratch.ts';

const target = (text: string): Descriptor => ({
  mediaType: MEDIA_TYPE.manifest,
  digest: digestOf(text),
  size: 1,
});

describe('the image store', () => {
  test('keeps names over a restart', async () => {
    const dir = scratch();
    const store = await openImageStore(dir);
    await store.create('a', target('1'), { x: 'y' });
    await store.put('a', target('2'));
    await store.put('b', target('3'));
    const again = await openImageStore(dir);
    expect(await again.get('a')).toMatchObject({ name: 'a', target: target('2'), labels: { x: 'y' } });
    expect((await again.list()).map(({ name }) => name)).toEqual(['a', 'b']);
    await again.delete('a');
    expect((await (await openImageStore(dir)).list()).map(({ name }) => name)).toEqual(['b']);
    expect(readdirSync(dir)).toEqual(['images.json']);
  });

  test('refuses a name that is taken, and one that is not there', async () => {
    const store = await openImageStore(scratch());
    await store.create('a', target('1'));
    await expect(store.create('a', target('2'))).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await expect(store.get('toString')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(store.update('b', {})).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(store.delete('b')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('says which file is damaged or of another version, and changes nothing', async () => {
    const dir = scratch();
    writeFileSync(join(dir, 'images.json'), '{"version": 1, "ima');
    await expect(openImageStore(dir)).rejects.toThrow(/images\.json is damaged/);
    writeFileSync(join(dir, 'images.json'), '{"version": 7}');
    await expect(openImageStore(dir)).rejects.toThrow(/is of version 7: this program reads version 1/);
  });
});

describe('chainIds', () => {
  test('follow the OCI specification: the first is the diffID, the next the digest of both names', () => {
    const a = digestOf('a');
    const b = digestOf('b');
    const c = digestOf('c');
    const ab = digestOf(`${a} ${b}`);
    expect(chainIds([a, b, c])).toEqual([a, ab, digestOf(`${ab} ${c}`)]);
    expect(chainIds([])).toEqual([]);
  });

  test('agree for images that begin with the same layers, and differ when the order does', () => {
    const [a, b, c] = [digestOf('a'), digestOf('b'), digestOf('c')];
    expect(chainIds([a, b])[1]).toBe(chainIds([a, b, c])[1]);
    expect(chainIds([b, a])[1]).not.toBe(chainIds([a, b])[1]);
  });
});
