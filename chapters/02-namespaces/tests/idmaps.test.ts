import {
  chmodSync,
  chownSync,
  closeSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fork, pipe, PR, prctl } from '../../01-processes/index.ts';
import {
  CLONE,
  formatRanges,
  parseRanges,
  setgid,
  setgroups,
  setuid,
  toHostId,
  unshare,
  writeIdMaps,
  type IdMaps,
} from '../index.ts';
import { answer, collect, inChild, parked, temporaryDirectory } from './probe.ts';

const base = 100_000 + Math.floor(Math.random() * 1000) * 65_536;
const range = { containerID: 0, hostID: base, size: 1000 };
const maps: IdMaps = { uid: [range], gid: [range] };

/** Runs `fn` in a new user namespace, once the parent has written the maps. */
function inUserNamespace<T>(idMaps: IdMaps, fn: () => T): T {
  const ready = pipe();
  const go = pipe();
  const { read, write } = pipe();
  const pid = fork(() => {
    closeSync(go.write);
    answer(write, () => {
      unshare(CLONE.NEWUSER);
      writeSync(ready.write, 'r');
      readSync(go.read, Buffer.alloc(1));
      return fn();
    });
  });
  for (const fd of [write, ready.write]) closeSync(fd); // so that reading ends when the child does
  readSync(ready.read, Buffer.alloc(1));
  let failure: unknown;
  try {
    writeIdMaps(pid, idMaps);
  } catch (error) {
    failure = error;
  }
  for (const fd of [ready.read, go.read, go.write]) closeSync(fd);
  const result = collect(pid, read) as T;
  if (failure) throw failure;
  return result;
}

let dir: string;
let remove: () => void;
beforeAll(() => {
  ({ dir, remove } = temporaryDirectory());
  chmodSync(dir, 0o777);
});
afterAll(() => remove());

describe('writeIdMaps', () => {
  test('makes root inside of another id outside, and a file made inside belongs to that one', () => {
    const file = join(dir, 'made-inside');
    const inside = inUserNamespace(maps, () => {
      setgid(0);
      setuid(0);
      writeFileSync(file, '');
      chownSync(file, 7, 8);
      return { uid: process.getuid!(), owner: statSync(file).uid, hosts: statSync('/etc/passwd').uid };
    });
    // A file of the host's root is nobody's inside: no range names that id.
    expect(inside).toEqual({ uid: 0, owner: 7, hosts: 65534 });
    expect(statSync(file)).toMatchObject({ uid: base + 7, gid: base + 8 });
  });

  test('an id that no range names cannot be taken and cannot be given', () => {
    const file = join(dir, 'unmapped');
    const attempt = inUserNamespace(maps, () => {
      setgid(0);
      setuid(0);
      writeFileSync(file, '');
      const code = (fn: () => void): string => {
        try {
          fn();
          return 'done';
        } catch (error) {
          return (error as NodeJS.ErrnoException).code!;
        }
      };
      return [
        code(() => chownSync(file, 1000, -1)),
        code(() => setuid(1000)),
        code(() => chownSync(file, 999, -1)),
      ];
    });
    expect(attempt).toEqual(['EINVAL', 'EINVAL', 'done']);
  });

  test('a map is written once', () => {
    const child = parked(() => unshare(CLONE.NEWUSER));
    try {
      writeIdMaps(child.pid, maps);
      expect(parseRanges(readFileSync(`/proc/${child.pid}/uid_map`, 'utf8'))).toEqual([range]);
      expect(() => writeIdMaps(child.pid, maps)).toThrow(
        /^write "0 \d+ 1000" to \/proc\/\d+\/uid_map: EPERM.*written already, or without the right to/,
      );
    } finally {
      child.end();
    }
  });

  test('setgroups can be denied, and then leaving groups is refused', () => {
    const groups = () => {
      setgid(0);
      setuid(0);
      setgroups([]);
    };
    expect(() => inUserNamespace(maps, groups)).not.toThrow();
    expect(() => inUserNamespace({ ...maps, setgroups: 'deny' }, groups)).toThrow('EPERM');
  });

  test('without rights one id can be mapped, if setgroups is denied', () => {
    const one = (setgroups: 'allow' | 'deny') => () =>
      inChild(() => {
        setgid(base);
        setuid(base);
        prctl(PR.SET_DUMPABLE, 1); // who changes its id owns its own /proc files no longer
        unshare(CLONE.NEWUSER);
        const self = { containerID: 0, hostID: base, size: 1 };
        // Its own map, from inside: the id of the writer is still the host's.
        writeFileSync('/proc/self/setgroups', setgroups);
        writeFileSync('/proc/self/uid_map', formatRanges([self]));
        writeFileSync('/proc/self/gid_map', formatRanges([self]));
        return process.getuid!();
      });
    expect(one('allow')).toThrow('EPERM');
    expect(one('deny')()).toBe(0);
  });

  test.each([
    [[], 'uid map: 0 ranges; from 1 to 340 are allowed'],
    [[{ containerID: 0, hostID: 1, size: 0 }], 'uid map, range 0 (0 1 0): ids are whole numbers from 0'],
    [[{ containerID: -1, hostID: 1, size: 1 }], 'uid map, range 0 (-1 1 1)'],
    [[{ containerID: 0, hostID: 2 ** 32 - 2, size: 2 }], 'the last id is beyond 4294967294'],
    [[range, { containerID: 999, hostID: 5, size: 1 }], `overlaps 0 ${base} 1000`],
    [[range, { containerID: 5000, hostID: base + 999, size: 5 }], `overlaps 0 ${base} 1000`],
  ])('refuses a bad map before anything is written: %j', (uid, message) => {
    expect(() => writeIdMaps(process.pid, { uid, gid: [range] })).toThrow(message);
  });
});

test('toHostId follows the ranges and knows no id outside of them', () => {
  const ranges = [
    { containerID: 0, hostID: 1000, size: 1 },
    { containerID: 1, hostID: 100_000, size: 10 },
  ];
  expect([0, 1, 10, 11].map((id) => toHostId(ranges, id))).toEqual([1000, 100_000, 100_009, undefined]);
});
