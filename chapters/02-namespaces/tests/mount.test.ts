import { closeSync, existsSync, mkdirSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  CLONE,
  makeReadOnly,
  MNT,
  mount,
  mountWithOptions,
  moveMount,
  MS,
  openTree,
  parseMountOptions,
  umount,
  unshare,
} from '../index.ts';
import { fork, pipe, waitpid } from '../../01-processes/index.ts';
import { inChild, temporaryDirectory } from './probe.ts';

/** Runs in a mount namespace of its own, from which nothing spreads. */
function inMountNamespace<T>(fn: () => T): T {
  return inChild(() => {
    unshare(CLONE.NEWNS);
    mount({ target: '/', flags: MS.REC | MS.PRIVATE });
    return fn();
  });
}

/** Options and propagation of the mount at `target`: `['rw,nosuid,relatime', 'shared:5', …]`. */
function mountinfo(target: string): { options: string[]; optional: string[]; type: string } {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const line = lines.filter((candidate) => candidate.split(' ')[4] === target).at(-1);
  if (!line) throw new Error(`nothing is mounted at ${target}`);
  const [left, right] = line.split(' - ') as [string, string];
  return {
    options: left.split(' ')[5]!.split(','),
    optional: left.split(' ').slice(6),
    type: right.split(' ')[0]!,
  };
}

const isMounted = (target: string): boolean =>
  readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${target} `);

let dir: string;
let remove: () => void;
beforeAll(() => ({ dir, remove } = temporaryDirectory()));
afterAll(() => remove());

describe('parseMountOptions', () => {
  test('sorts flags, propagation, recursive attributes and data, and the later word wins', () => {
    const options = [
      'rw',
      'nosuid',
      'rbind',
      'ro',
      'rprivate',
      'rro',
      'size=64k',
      'tmpcopyup',
      'suid',
      'mode=755',
    ];
    expect(parseMountOptions(options)).toEqual({
      flags: MS.BIND | MS.REC | MS.RDONLY,
      cleared: MS.NOSUID,
      propagation: [MS.PRIVATE | MS.REC],
      recursive: { set: 1, clear: 0 },
      runtime: ['tmpcopyup'],
      data: 'size=64k,mode=755',
    });
  });

  test('a word that every object has is data, not an option', () => {
    expect(parseMountOptions(['constructor', 'toString', '']).data).toBe('constructor,toString');
  });
});

describe('mount', () => {
  test('a filesystem appears and is gone after umount', () => {
    const seen = inMountNamespace(() => {
      const before = existsSync(join(dir, 'file'));
      mount({ source: 'ch02', target: dir, type: 'tmpfs', data: 'size=64k' });
      writeFileSync(join(dir, 'file'), '');
      const { type } = mountinfo(dir);
      umount(dir);
      return [before, type, existsSync(join(dir, 'file'))];
    });
    expect(seen).toEqual([false, 'tmpfs', false]);
  });

  test('an error names the source, the target and the reason', () => {
    const target = join(dir, 'missing');
    expect(() => inMountNamespace(() => mount({ source: 'ch02', target, type: 'tmpfs' }))).toThrow(
      `mount "ch02" on "${target}": ENOENT (No such file or directory)`,
    );
    expect(() => inMountNamespace(() => mount({ target: dir, type: 'nosuchfs' }))).toThrow('ENODEV');
    expect(() => umount(dir)).toThrow(`umount2 "${dir}": EINVAL`);
  });

  test('more data than the kernel reads is refused and not cut off', () => {
    const data = `lowerdir=${'/x'.repeat(2100)}`;
    expect(() => mount({ target: dir, type: 'overlay', data })).toThrow(
      '4209 bytes of options; the kernel takes 4095',
    );
  });

  test('a lazily unmounted filesystem can be used by who has it open', () => {
    const seen = inMountNamespace(() => {
      mount({ source: 'ch02', target: dir, type: 'tmpfs' });
      writeFileSync(join(dir, 'file'), 'still here');
      process.chdir(dir);
      umount(dir, MNT.DETACH);
      return [existsSync(join(dir, 'file')), readFileSync('file', 'utf8')];
    });
    expect(seen).toEqual([false, 'still here']);
  });
});

describe('mountWithOptions', () => {
  test('a bind mount is read-only only after the second call, which this makes', () => {
    const source = join(dir, 'source');
    const target = join(dir, 'target');
    mkdirSync(source);
    mkdirSync(target);
    const seen = inMountNamespace(() => {
      mount({ source, target, flags: MS.BIND | MS.RDONLY });
      const inOneCall = mountinfo(target).options.includes('ro');
      umount(target);
      mountWithOptions({ source, target, type: 'bind', options: ['bind', 'ro', 'nosuid', 'rprivate'] });
      let refused = '';
      try {
        writeFileSync(join(target, 'x'), '');
      } catch (error) {
        refused = (error as NodeJS.ErrnoException).code!;
      }
      writeFileSync(join(source, 'y'), '');
      return { inOneCall, options: mountinfo(target).options, refused };
    });
    expect(seen.inOneCall).toBe(false);
    expect(seen.options).toEqual(expect.arrayContaining(['ro', 'nosuid']));
    expect(seen.refused).toBe('EROFS');
  });

  test('flags and data of a new filesystem both arrive', () => {
    const { options, file } = inMountNamespace(() => {
      const options = ['nosuid', 'nodev', 'noexec', 'size=64k', 'mode=700'];
      mountWithOptions({ source: 'ch02', target: dir, type: 'tmpfs', options });
      const line = readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .find((l) => l.includes(` ${dir} `))!;
      return { options: mountinfo(dir).options, file: line };
    });
    expect(options).toEqual(expect.arrayContaining(['nosuid', 'nodev', 'noexec']));
    expect(file).toContain('size=64k,mode=700');
  });

  test('a mount whose later call fails is taken away again', () => {
    const seen = inMountNamespace(() => {
      const target = join(dir, 'a');
      mount({ source: 'ch02', target: dir, type: 'tmpfs' });
      mkdirSync(target);
      unshare(CLONE.NEWUSER | CLONE.NEWNS); // locks the flags of every mount, the access time among them
      try {
        mountWithOptions({ source: dir, target, options: ['bind', 'noatime'] });
      } catch (error) {
        return [(error as Error).message, isMounted(target)];
      }
      return [];
    });
    expect(seen).toEqual([`mount "${dir}/a" on "${dir}/a": EPERM (Operation not permitted)`, false]);
  });

  test('in a user namespace a bind keeps the flags that are locked', () => {
    const options = inMountNamespace(() => {
      mount({ source: 'ch02', target: dir, type: 'tmpfs', flags: MS.NOSUID | MS.NODEV });
      mkdirSync(join(dir, 'a'));
      unshare(CLONE.NEWUSER | CLONE.NEWNS);
      mountWithOptions({ source: dir, target: join(dir, 'a'), type: 'bind', options: ['ro', 'suid'] });
      return mountinfo(join(dir, 'a')).options;
    });
    expect(options).toEqual(expect.arrayContaining(['ro', 'nosuid', 'nodev']));
  });

  test('rro makes the mounts below read-only too, ro does not', () => {
    const seen = inMountNamespace(() => {
      mount({ source: 'ch02', target: dir, type: 'tmpfs' });
      for (const name of ['from', 'ro', 'rro']) mkdirSync(join(dir, name));
      const [from, ro, rro] = ['from', 'ro', 'rro'].map((name) => join(dir, name)) as [
        string,
        string,
        string,
      ];
      mount({ source: 'ch02', target: from, type: 'tmpfs' });
      mkdirSync(join(from, 'below'));
      mount({ source: 'ch02', target: join(from, 'below'), type: 'tmpfs' });
      mountWithOptions({ source: from, target: ro, options: ['rbind', 'ro'] });
      mountWithOptions({ source: from, target: rro, options: ['rbind', 'rro'] });
      return [ro, join(ro, 'below'), rro, join(rro, 'below')].map((path) => mountinfo(path).options[0]);
    });
    expect(seen).toEqual(['ro', 'rw', 'ro', 'ro']);
  });

  test('makeReadOnly reaches all mounts below', () => {
    const option = inMountNamespace(() => {
      mount({ source: 'ch02', target: dir, type: 'tmpfs' });
      mkdirSync(join(dir, 'below'));
      mount({ source: 'ch02', target: join(dir, 'below'), type: 'tmpfs' });
      makeReadOnly(dir);
      return mountinfo(join(dir, 'below')).options[0];
    });
    expect(option).toBe('ro');
  });
});

describe('propagation', () => {
  test.each([
    ['private', false],
    ['slave', true],
    ['shared', true],
  ] as const)('a mount made outside spreads into a namespace that holds it %s: %s', (kind, spreads) => {
    const seen = inMountNamespace(() => {
      mount({ source: 'ch02', target: dir, type: 'tmpfs' });
      mkdirSync(join(dir, 'below'));
      mount({ target: dir, flags: MS.SHARED });
      return inChildThatWaits(kind, () =>
        mount({ source: 'ch02', target: join(dir, 'below'), type: 'tmpfs' }),
      );
    });
    expect(seen).toBe(spreads);
  });

  /** Whether a child in a mount namespace of its own sees, at `dir`/below, the mount that `act` makes here. */
  function inChildThatWaits(kind: 'private' | 'slave' | 'shared', act: () => void): boolean {
    const toChild = pipe();
    const { read, write } = pipe();
    const child = fork(() => {
      unshare(CLONE.NEWNS);
      mountWithOptions({ source: '', target: dir, options: ['remount', 'bind', kind] });
      writeSync(write, 'r');
      readSync(toChild.read, Buffer.alloc(1));
      writeSync(write, readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${dir}/below `) ? 'y' : 'n');
    });
    const one = Buffer.alloc(1);
    readSync(read, one);
    act();
    writeSync(toChild.write, 'g');
    readSync(read, one);
    closeSync(write);
    waitpid(child);
    return one.toString() === 'y';
  }
});

test('openTree and moveMount carry a mount to another place', () => {
  const seen = inMountNamespace(() => {
    mount({ source: 'ch02', target: dir, type: 'tmpfs' });
    for (const name of ['a', 'b']) mkdirSync(join(dir, name));
    writeFileSync(join(dir, 'a', 'file'), 'carried');
    const fd = openTree(join(dir, 'a'));
    moveMount(fd, join(dir, 'b'));
    closeSync(fd);
    return readFileSync(join(dir, 'b', 'file'), 'utf8');
  });
  expect(seen).toBe('carried');
});

test('nothing is left mounted on the machine', () => {
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(dir);
});
