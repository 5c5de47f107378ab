import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fork, getpid, waitpid } from '../../01-processes/index.ts';
import { makeCgroup } from '../cgroup-stage.ts';
import {
  CLONE,
  joinNamespaces,
  namespacePath,
  readTimeOffsets,
  unshare,
  writeTimeOffsets,
} from '../index.ts';
import { inChild, parked, randomName } from './probe.ts';

/** CLOCK_MONOTONIC, in seconds. */
const monotonic = (): number => Number(process.hrtime.bigint()) / 1e9;

describe('a time namespace', () => {
  test('moves the monotonic and the boot clock of who is born in it, and not the date', () => {
    const before = { monotonic: monotonic(), date: Date.now() };
    const inside = inChild(() => {
      unshare(CLONE.NEWTIME);
      writeTimeOffsets('self', { monotonic: 500_000, boottime: 700_000 });
      const self = monotonic();
      return { self, child: inChild(() => ({ monotonic: monotonic(), date: Date.now() })) };
    });
    const after = { monotonic: monotonic(), date: Date.now() };
    expect(inside.self).toBeGreaterThanOrEqual(before.monotonic); // the caller stays where it was
    expect(inside.self).toBeLessThanOrEqual(after.monotonic);
    expect(inside.child.monotonic).toBeGreaterThanOrEqual(before.monotonic + 500_000);
    expect(inside.child.monotonic).toBeLessThanOrEqual(after.monotonic + 500_000);
    expect(inside.child.date).toBeGreaterThanOrEqual(before.date);
    expect(inside.child.date).toBeLessThanOrEqual(after.date);
  });

  test('can be set back a little, by fractions of a second, and joined', () => {
    const offsets = { monotonic: -1.25, boottime: 0.5 };
    const owner = parked(() => {
      unshare(CLONE.NEWTIME);
      writeTimeOffsets('self', offsets);
    });
    try {
      expect(readTimeOffsets(owner.pid)).toEqual(offsets);
      expect(readTimeOffsets('self')).toEqual({ monotonic: 0, boottime: 0 });
      // The date, which goes on as it did, is read first and last: however long it takes between, less has passed by the other clock.
      const joined = inChild(() => {
        const date = Date.now();
        const before = monotonic();
        joinNamespaces({ time: `/proc/${owner.pid}/ns/time_for_children` });
        const passed = monotonic() - before;
        return { passed, byDate: (Date.now() - date) / 1000, offsets: readTimeOffsets('self') };
      });
      expect(joined.offsets).toEqual(offsets);
      expect(joined.passed).toBeLessThan(joined.byDate - 1.25 + 0.01); // both are rounded
    } finally {
      owner.end();
    }
  });

  test('takes offsets before its first process alone, and none that would make a clock negative', () => {
    const write = (offsets: object, first: () => void = () => undefined) =>
      inChild(() => {
        unshare(CLONE.NEWTIME);
        first();
        writeTimeOffsets('self', offsets);
      });
    expect(() => write({ boottime: 1 }, () => waitpid(fork(() => 0)))).toThrow(
      /timens_offsets: EACCES.*a process is in the time namespace already/,
    );
    expect(() => write({ monotonic: -1e9 })).toThrow(/ERANGE.*before 0/);
    expect(() => write({ monotonic: NaN })).toThrow('monotonic offset NaN: seconds, as a number');
    expect(() => write({ realtime: 5 })).toThrow('write "realtime 5 0" to /proc/self/timens_offsets: EINVAL');
    expect(() => writeTimeOffsets('self', { boottime: 1 })).toThrow('EACCES'); // the machine's own has processes
  });
});

describe('a cgroup namespace', () => {
  test('makes the group that one is in the top of the tree; from outside nothing has changed', () => {
    const name = randomName();
    const cgroup = makeCgroup(name);
    if (!cgroup) throw new Error('no cgroup tree is mounted here');
    const outside = cgroup.pathOf('self');
    try {
      const inGroup = parked(() => undefined);
      try {
        cgroup.join(inGroup.pid);
        expect(cgroup.pathOf(inGroup.pid)).toBe(`/${name}`);
        const inside = inChild(() => {
          cgroup.join(getpid());
          const before = cgroup.pathOf('self');
          unshare(CLONE.NEWCGROUP);
          return {
            before,
            after: cgroup.pathOf('self'),
            neighbour: cgroup.pathOf(inGroup.pid),
            host: cgroup.pathOf(1),
          };
        });
        expect(inside.before).toBe(`/${name}`);
        expect(inside.after).toBe('/');
        expect(inside.neighbour).toBe('/');
        expect(inside.host).toMatch(/^\/\.\.(\/|$)/); // above the top: what is there is seen, where it is not
      } finally {
        inGroup.end();
      }
    } finally {
      cgroup.remove();
    }
    expect(existsSync(cgroup.folder)).toBe(false);
    expect(cgroup.pathOf('self')).toBe(outside);
  });

  test('its top is where it was made, wherever its processes go', () => {
    const cgroup = makeCgroup(randomName())!;
    try {
      const child = parked(() => unshare(CLONE.NEWCGROUP)); // its top is the group of these tests
      try {
        cgroup.join(child.pid);
        const seen = inChild(() => {
          joinNamespaces({ cgroup: namespacePath(child.pid, 'cgroup') });
          return cgroup.pathOf(child.pid);
        });
        expect(seen).toMatch(new RegExp(`/${cgroup.folder.split('/').at(-1)}$`));
      } finally {
        child.end();
      }
    } finally {
      cgroup.remove();
    }
  });
});
