import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { digestOf, openContentStore, writeBlob } from '../index.ts';
import { scratch } from './scratch.ts';

const hello = Buffer.from('hello');
const HELLO = 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';

describe('the content store', () => {
  test('keeps a blob under the digest of its bytes, as an OCI layout does', async () => {
    const dir = scratch();
    const store = await openContentStore(dir);
    expect(await writeBlob(store, hello, { labels: { a: '1' } })).toEqual({
      digest: HELLO,
      size: 5,
      added: true,
    });
    expect(await writeBlob(store, hello)).toMatchObject({ digest: HELLO, added: false });
    expect(readFileSync(join(dir, 'blobs/sha256', HELLO.slice(7)), 'utf8')).toBe('hello');
    expect(await store.info(HELLO)).toMatchObject({ digest: HELLO, size: 5, labels: { a: '1' } });
    expect((await store.list()).map((info) => info.digest)).toEqual([HELLO]);
    expect(await store.readAll(HELLO)).toEqual(hello);
    expect(await store.statuses()).toEqual([]);
  });

  test('refuses to commit bytes that are not what was announced, and keeps them out of the blobs', async () => {
    const dir = scratch();
    const store = await openContentStore(dir);
    const writer = await store.writer('download', { expected: digestOf('something else') });
    await writer.write(hello);
    await expect(writer.commit()).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    await expect(writer.commit({ size: 6, expected: HELLO })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
    });
    await writer.close();
    expect(readdirSync(join(dir, 'blobs/sha256'))).toEqual([]);
    expect(await store.status('download')).toMatchObject({ ref: 'download', offset: 5 });
    await store.abort('download');
    await expect(store.status('download')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('notices on reading that a blob has been changed on the disk', async () => {
    const dir = scratch();
    const store = await openContentStore(dir);
    await writeBlob(store, hello);
    writeFileSync(join(dir, 'blobs/sha256', HELLO.slice(7)), 'jello');
    await expect(store.readAll(HELLO)).rejects.toMatchObject({ code: 'DATA_LOSS' });
    await expect(store.readAll(HELLO)).rejects.toThrow(`content ${HELLO} is damaged`);
  });

  test('a writing that was interrupted goes on where it stopped', async () => {
    const dir = scratch();
    const first = await (await openContentStore(dir)).writer('ref', { total: 5, expected: HELLO });
    await first.write(hello.subarray(0, 2));
    await first.close();

    const store = await openContentStore(dir);
    const second = await store.writer('ref', { expected: HELLO });
    expect(second.status()).toMatchObject({ offset: 2, total: 5, expected: HELLO });
    await second.write(hello.subarray(2));
    expect(await second.commit({ size: 5 })).toBe(HELLO);
    expect(await store.readAll(HELLO)).toEqual(hello);
  });

  test('one ref has one writer, and content that is there is not written again', async () => {
    const store = await openContentStore(scratch());
    const writer = await store.writer('ref');
    await expect(store.writer('ref')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(store.abort('ref')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await writer.write(hello);
    await writer.commit();
    await expect(store.writer('ref', { expected: HELLO })).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    const again = await store.writer('ref');
    await again.write(hello);
    await expect(again.commit()).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    expect(await store.statuses()).toEqual([]);
  });

  test('truncating forgets the bytes in the digest too', async () => {
    const store = await openContentStore(scratch());
    const writer = await store.writer('ref');
    await writer.write(Buffer.from('hello, world'));
    await writer.truncate(5);
    expect(writer.digest()).toBe(HELLO);
    expect(await writer.commit()).toBe(HELLO);
  });

  test('reads a part of a blob', async () => {
    const store = await openContentStore(scratch());
    await writeBlob(store, hello);
    const parts: Buffer[] = [];
    for await (const part of store.read(HELLO, { offset: 1, size: 3 })) parts.push(part);
    expect(Buffer.concat(parts).toString()).toBe('ell');
  });

  test('what is not there is not found; what is no digest is refused before it becomes a path', async () => {
    const store = await openContentStore(scratch());
    for (const call of [
      () => store.info(HELLO),
      () => store.readAll(HELLO),
      () => store.delete(HELLO),
      () => store.update(HELLO, {}),
    ])
      await expect(call()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    for (const bad of ['sha256:../../etc/passwd', 'sha256:', `md5:${'0'.repeat(32)}`, HELLO.toUpperCase()])
      await expect(store.info(bad)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('labels are replaced, set one by one, and removed by an empty value', async () => {
    const store = await openContentStore(scratch());
    await writeBlob(store, hello, { labels: { a: '1', b: '2' } });
    expect((await store.update(HELLO, { c: '3', a: '' }, ['labels.c', 'labels.a'])).labels).toEqual({
      b: '2',
      c: '3',
    });
    expect((await store.update(HELLO, { d: '4' })).labels).toEqual({ d: '4' });
    await expect(store.update(HELLO, {}, ['size'])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await store.delete(HELLO);
    expect(await store.list()).toEqual([]);
  });

  test('a writer killed in the middle leaves no blob, and its bytes can be used', async () => {
    const dir = scratch();
    const index = resolve('chapters/04-overlayfs/index.ts');
    const program = `import(${JSON.stringify(index)}).then(async ({ openContentStore }) => {
      const store = await openContentStore(${JSON.stringify(dir)});
      const writer = await store.writer('torn', { total: 5 });
      await writer.write(Buffer.from('hel'));
      console.log('written');
      setInterval(() => {}, 1000);
    });`;
    const child = spawn(process.execPath, ['--import', 'tsx', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: 60_000,
    });
    const ended = once(child, 'exit');
    await Promise.race([once(child.stdout, 'data'), ended]);
    child.kill('SIGKILL');
    expect(await ended).toEqual([null, 'SIGKILL']);

    const store = await openContentStore(dir);
    expect(await store.list()).toEqual([]);
    const writer = await store.writer('torn');
    expect(writer.status().offset).toBe(3);
    await writer.write(Buffer.from('lo'));
    expect(await writer.commit({ size: 5, expected: HELLO })).toBe(HELLO);
  });
});
