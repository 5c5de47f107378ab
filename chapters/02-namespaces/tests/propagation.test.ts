import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readMountinfo } from '../../01-processes/index.ts';
import { CLONE, describePeer, mount, MS, peerOf, receivers, setPropagation, unshare } from '../index.ts';
import { playPropagation, type Actor } from '../mount-stage.ts';
import { inChild, temporaryDirectory } from './probe.ts';

let dir: string;
let remove: () => void;
beforeAll(() => ({ dir, remove } = temporaryDirectory()));
afterAll(() => {
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(dir);
  remove();
});

/** Who sees whose mount, by name: what the kernel did. And the same as `receivers` reads it from mountinfo. */
function play(actors: Actor[]): {
  kernel: Record<string, string[]>;
  read: Record<string, string[]>;
  kinds: string[];
} {
  const { seen, end } = playPropagation(dir, actors);
  end();
  const read = Object.fromEntries(
    seen.map((who) => {
      const from = seen.filter((other) => other === who || receivers(other, seen).includes(who));
      return [who.name, from.map(({ name }) => name).sort()];
    }),
  );
  return {
    kernel: Object.fromEntries(seen.map(({ name, sees }) => [name, sees])),
    read,
    kinds: seen.map(describePeer),
  };
}

describe('what is mounted in one namespace', () => {
  test('reaches peers both ways, slaves one way, and private ones not at all', () => {
    const { kernel, read, kinds } = play([
      { name: 'host', words: [] },
      { name: 'peer', from: 'host', words: [] },
      { name: 'slave', from: 'host', words: ['slave'] },
      { name: 'private', from: 'host', words: ['private'] },
      { name: 'unbindable', from: 'host', words: ['unbindable'] },
    ]);
    expect(kinds).toEqual(['shared', 'shared', 'private,slave', 'private', 'unbindable']);
    expect(kernel).toEqual({
      host: ['host', 'peer'],
      peer: ['host', 'peer'],
      slave: ['host', 'peer', 'slave'],
      private: ['private'],
      unbindable: ['unbindable'],
    });
    expect(read).toEqual(kernel);
  });

  test('goes down a chain of slaves that are shared themselves, and never up', () => {
    const { kernel, read, kinds } = play([
      { name: 'a', words: [] },
      { name: 'b', from: 'a', words: ['slave', 'shared'] },
      { name: 'b2', from: 'b', words: [] },
      { name: 'c', from: 'b', words: ['slave'] },
      { name: 'd', from: 'c', words: ['slave'] }, // a slave of who only takes: it takes from the same
    ]);
    expect(kinds).toEqual(['shared', 'shared,slave', 'shared,slave', 'private,slave', 'private,slave']);
    expect(kernel).toEqual({
      a: ['a'],
      b: ['a', 'b', 'b2'],
      b2: ['a', 'b', 'b2'],
      c: ['a', 'b', 'b2', 'c'],
      d: ['a', 'b', 'b2', 'd'],
    });
    expect(read).toEqual(kernel);
  });
});

/** In a mount namespace of its own, with a tmpfs on `dir`. */
const onStage = <T>(fn: () => T): T =>
  inChild(() => {
    unshare(CLONE.NEWNS);
    setPropagation('/', 'rprivate');
    mount({ source: 'stage', target: dir, type: 'tmpfs' });
    for (const name of ['a', 'b', 'c']) mkdirSync(join(dir, name));
    return fn();
  });
const refused = (fn: () => void): string => {
  try {
    fn();
    return 'done';
  } catch (error) {
    return (error as Error).message;
  }
};

test('a bind mount of a shared mount is its peer', () => {
  const seen = onStage(() => {
    mount({ source: 'a', target: join(dir, 'a'), type: 'tmpfs' });
    mkdirSync(join(dir, 'a', 'below'));
    setPropagation(join(dir, 'a'), 'shared');
    mount({ source: join(dir, 'a'), target: join(dir, 'b'), flags: MS.BIND });
    mount({ source: 'x', target: join(dir, 'b', 'below'), type: 'tmpfs' });
    const groups = readMountinfo()!
      .filter(({ source }) => source === 'a')
      .map((m) => peerOf(m).group);
    return {
      groups,
      points: readMountinfo()!
        .filter(({ source }) => source === 'x')
        .map((m) => m.mountPoint),
    };
  });
  expect(seen.groups).toHaveLength(2);
  expect(seen.groups[0]).toBeGreaterThan(0);
  expect(seen.groups[1]).toBe(seen.groups[0]);
  expect(seen.points.sort()).toEqual([`${dir}/a/below`, `${dir}/b/below`]);
});

test('a bind leaves the mounts below behind and shows what they covered; a recursive one brings them', () => {
  const seen = onStage(() => {
    mkdirSync(join(dir, 'a', 'below'));
    writeFileSync(join(dir, 'a', 'below', 'covered'), '');
    mount({ source: 'x', target: join(dir, 'a', 'below'), type: 'tmpfs' });
    writeFileSync(join(dir, 'a', 'below', 'on-top'), '');
    mount({ source: join(dir, 'a'), target: join(dir, 'b'), flags: MS.BIND });
    mount({ source: join(dir, 'a'), target: join(dir, 'c'), flags: MS.BIND | MS.REC });
    return ['b', 'c'].map((name) => readdirSync(join(dir, name, 'below')));
  });
  expect(seen).toEqual([['covered'], ['on-top']]);
});

test('an unbindable mount cannot be bound, and a recursive bind leaves it out', () => {
  const seen = onStage(() => {
    mkdirSync(join(dir, 'a', 'below'));
    mount({ source: 'x', target: join(dir, 'a', 'below'), type: 'tmpfs' });
    writeFileSync(join(dir, 'a', 'below', 'file'), '');
    setPropagation(join(dir, 'a', 'below'), 'unbindable');
    const message = refused(() =>
      mount({ source: join(dir, 'a', 'below'), target: join(dir, 'b'), flags: MS.BIND }),
    );
    mount({ source: join(dir, 'a'), target: join(dir, 'c'), flags: MS.BIND | MS.REC });
    return { message, left: existsSync(join(dir, 'c', 'below', 'file')) };
  });
  expect(seen).toEqual({
    message: `mount "${dir}/a/below" on "${dir}/b": EINVAL (Invalid argument)`,
    left: false,
  });
});

test('who forgets to make the mounts private mounts on the host', () => {
  const tellsHost = (prepare: () => void): boolean =>
    onStage(() => {
      setPropagation(dir, 'shared');
      inChild(() => {
        unshare(CLONE.NEWNS);
        prepare();
        mount({ source: 'leak', target: join(dir, 'a'), type: 'tmpfs' });
      });
      return readMountinfo()!.some(({ source }) => source === 'leak');
    });
  expect(tellsHost(() => undefined)).toBe(true);
  expect(tellsHost(() => setPropagation('/', 'rprivate'))).toBe(false);
  expect(tellsHost(() => setPropagation('/', 'rslave'))).toBe(false);
  expect(tellsHost(() => setPropagation('/', 'private'))).toBe(true); // `/` alone is not what lies below
});

test('a word that is no propagation, or a directory that is no mount, is refused', () => {
  expect(() => setPropagation(dir, 'public')).toThrow(
    'invalid propagation "public": one of private, rprivate, shared, rshared, slave, rslave, unbindable, runbindable',
  );
  expect(() => setPropagation(dir, 'toString')).toThrow(RangeError);
  expect(() => setPropagation(dir, 'private')).toThrow(`mount "none" on "${dir}": EINVAL`);
});

test('peerOf reads the optional fields of mountinfo', () => {
  expect(peerOf({ propagation: [] })).toEqual({});
  expect(peerOf({ propagation: ['shared:7', 'master:3', 'propagate_from:1'] })).toEqual({
    group: 7,
    master: 3,
  });
  expect(peerOf({ propagation: ['unbindable'] })).toEqual({ unbindable: true });
});
