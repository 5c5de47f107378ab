import { closeSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  CLONE,
  createMessageQueue,
  createSysv,
  findSysv,
  joinNamespaces,
  listSysv,
  mount,
  namespacePath,
  pinNamespace,
  removeSysv,
  setPropagation,
  unlinkMessageQueue,
  unpinNamespace,
  unshare,
} from '../index.ts';
import { inChild, parked, randomName, temporaryDirectory } from './probe.ts';

const key = (): number => 0x0c200000 + Math.floor(Math.random() * 0xfffff);

describe.each(['shm', 'msg'] as const)('System V: %s', (kind) => {
  test('what one namespace has, another has not, under the same key', () => {
    const k = key();
    const outside = createSysv(kind, k);
    try {
      expect(inChild(() => findSysv(kind, k))).toBe(outside);
      const inside = inChild(() => {
        unshare(CLONE.NEWIPC);
        const before = listSysv(kind);
        createSysv(kind, k); // the key is free here
        return { before, after: listSysv(kind).map((object) => object.key) };
      });
      expect(inside).toEqual({ before: [], after: [k] });
      expect(listSysv(kind).filter((object) => object.key === k)).toEqual([{ key: k, id: outside }]);
      expect(() =>
        inChild(() => {
          unshare(CLONE.NEWIPC);
          findSysv(kind, k);
        }),
      ).toThrow(`${kind}get key ${k}: ENOENT`);
    } finally {
      removeSysv(kind, outside);
    }
    expect(() => findSysv(kind, k)).toThrow('ENOENT');
    expect(() => removeSysv(kind, outside)).toThrow(`${kind}ctl ${outside}, IPC_RMID: EINVAL`);
  });

  test('it outlives its maker, and goes with its namespace', () => {
    const { dir, remove } = temporaryDirectory();
    const file = join(dir, 'ipc');
    const k = key();
    try {
      const seen = inChild(() => {
        unshare(CLONE.NEWNS);
        setPropagation('/', 'rprivate');
        const other = parked(() => createSysv(kind, k), CLONE.NEWIPC);
        pinNamespace(namespacePath(other.pid, 'ipc'), file);
        other.end();
        const look = (): number[] =>
          inChild(() => {
            joinNamespaces({ ipc: file });
            return listSysv(kind).map((object) => object.key);
          });
        const pinned = look();
        unpinNamespace(file);
        return pinned;
      });
      expect(seen).toEqual([k]);
    } finally {
      remove();
    }
  });
});

test('a POSIX queue is a file of an mqueue mount, and each mount shows one namespace', () => {
  const { dir, remove } = temporaryDirectory();
  const name = randomName();
  try {
    const seen = inChild(() => {
      unshare(CLONE.NEWNS | CLONE.NEWIPC);
      setPropagation('/', 'rprivate');
      mount({ source: 'mqueue', target: dir, type: 'mqueue' });
      const fd = createMessageQueue(`/${name}`);
      const outside = readdirSync(dir);
      const inside = inChild(() => {
        unshare(CLONE.NEWIPC);
        const old = existsSync(join(dir, name)); // this mount belongs to who mounted it
        mount({ source: 'mqueue', target: dir, type: 'mqueue' });
        unshare(CLONE.NEWNS);
        return { old, names: readdirSync(dir) };
      });
      closeSync(fd);
      return { outside, inside };
    });
    expect(seen).toEqual({ outside: [name], inside: { old: true, names: [] } });
  } finally {
    remove();
  }
});

test('a queue’s name is checked by the kernel, and what is not there is said', () => {
  const attempt = (fn: () => void) => () =>
    inChild(() => {
      unshare(CLONE.NEWIPC);
      fn();
    });
  expect(attempt(() => createMessageQueue('no-slash'))).toThrow('mq_open "no-slash": EINVAL');
  expect(attempt(() => createMessageQueue('/a/b'))).toThrow('mq_open "/a/b": EACCES');
  expect(attempt(() => unlinkMessageQueue('/none'))).toThrow('mq_unlink "/none": ENOENT');
  expect(
    attempt(() => {
      createMessageQueue('/twice');
      createMessageQueue('/twice');
    }),
  ).toThrow('mq_open "/twice": EEXIST');
});
