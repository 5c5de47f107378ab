import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openContainerStore } from '../container-store.ts';
import { recordOf } from './records.ts';

let dir: string;
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), '07d-store-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const one = recordOf({ id: `aa11${'0'.repeat(60)}`, name: 'one' });
const two = recordOf({ id: `aa22${'0'.repeat(60)}`, name: 'two' });

describe('the container store', () => {
  test('finds a container by id, name, /name and the beginning of the id', async () => {
    const store = await openContainerStore(dir);
    await store.add(one);
    await store.add(two);
    for (const reference of [one.id, 'one', '/one', 'aa1', one.id.slice(0, 12)])
      expect(store.find(reference)).toBe(one);
  });

  test('refuses a beginning that several ids have, and what nobody has', async () => {
    const store = await openContainerStore(dir);
    await store.add(one);
    await store.add(two);
    expect(() => store.find('aa')).toThrow('multiple IDs found with provided prefix: aa');
    expect(() => store.find('nobody')).toThrow('No such container: nobody');
  });

  test('prefers a name to the beginning of an id', async () => {
    const store = await openContainerStore(dir);
    await store.add(one);
    const named = recordOf({ id: `bb${'0'.repeat(62)}`, name: 'aa11' });
    await store.add(named);
    expect(store.find('aa11')).toBe(named);
  });

  test('refuses a name in use, in Docker’s words, and leaves nothing of the second', async () => {
    const store = await openContainerStore(dir);
    await store.add(one);
    await expect(store.add({ ...two, name: 'one' })).rejects.toThrow(
      `Conflict. The container name "/one" is already in use by container "${one.id}". You have to remove (or rename) that container to be able to reuse that name.`,
    );
    expect(readdirSync(dir)).toEqual([one.id]);
  });

  test('refuses a name that is none', async () => {
    const store = await openContainerStore(dir);
    await expect(store.add({ ...one, name: 'a/b' })).rejects.toThrow('Invalid container name (a/b)');
  });

  test('has everything again after a restart, but for what was removed', async () => {
    const before = await openContainerStore(dir);
    await before.add(one);
    await before.add(two);
    await before.rename(one, 'first');
    await before.remove(two);
    const after = await openContainerStore(dir);
    expect(after.all()).toEqual([{ ...one, name: 'first' }]);
    one.name = 'one';
  });

  test('takes away what died while it was being made, and leaves alone what it cannot read', async () => {
    mkdirSync(join(dir, 'empty'));
    mkdirSync(join(dir, 'damaged'));
    writeFileSync(join(dir, 'damaged', 'config.json'), '{"version":');
    const store = await openContainerStore(dir);
    expect(store.all()).toEqual([]);
    expect(existsSync(join(dir, 'empty'))).toBe(false);
    expect(existsSync(join(dir, 'damaged'))).toBe(true);
  });
});
