import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseMountinfoLine } from '../../01-processes/index.ts';
import { CONTROLLERS, detectCgroups, layoutOf } from '../index.ts';

/** The layout of a machine with these mounts. */
const layout = (lines: string, controllers = ''): ReturnType<typeof layoutOf> =>
  layoutOf(
    lines
      .trim()
      .split('\n')
      .map((line) => parseMountinfoLine(line.trim())),
    () => controllers.split(' '),
  );

describe('the layout of cgroups', () => {
  test('is v2 when there is one tree, and the tree says which controllers it has', () => {
    expect(
      layout(
        '29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate',
        'cpuset cpu io memory hugetlb pids rdma misc',
      ),
    ).toEqual({
      layout: 'v2',
      hierarchies: [],
      unified: '/sys/fs/cgroup',
      controllers: ['cpuset', 'cpu', 'io', 'memory', 'hugetlb', 'pids', 'rdma', 'misc'],
    });
  });

  test('is hybrid when v1 has the controllers, several of which may share a tree', () => {
    expect(
      layout(`
        30 29 0:26 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw
        31 29 0:27 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd
        32 29 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:11 - cgroup cgroup rw,cpu,cpuacct
        33 29 0:29 / /sys/fs/cgroup/memory rw shared:12 - cgroup cgroup rw,memory
        34 29 0:29 / /mnt/again rw shared:12 - cgroup cgroup rw,memory`),
    ).toEqual({
      layout: 'hybrid',
      hierarchies: [
        { mountPoint: '/sys/fs/cgroup/systemd', controllers: [], name: 'systemd' },
        { mountPoint: '/sys/fs/cgroup/cpu,cpuacct', controllers: ['cpu', 'cpuacct'] },
        { mountPoint: '/sys/fs/cgroup/memory', controllers: ['memory'] },
      ],
      unified: '/sys/fs/cgroup/unified',
      controllers: ['cpu', 'cpuacct', 'memory'],
    });
  });

  test('is v1 when there is no other tree', () => {
    const { layout: version, unified } = layout('33 29 0:29 / /cg/m rw - cgroup none rw,memory');
    expect([version, unified]).toEqual(['v1', undefined]);
  });

  test('a tree of v1 that only groups does not take v2 its place', () => {
    const named = `
      31 29 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
      30 29 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw`;
    expect(layout(named, 'pids')).toMatchObject({ layout: 'v2', controllers: ['pids'] });
  });

  test('without any mount says what is missing', () => {
    expect(() => layoutOf([], () => [])).toThrow('no cgroup file system is mounted');
  });

  test('of this machine is one, and names only trees that are there', () => {
    const host = detectCgroups();
    for (const { mountPoint, controllers } of host.hierarchies)
      if (controllers.includes('cpu'))
        expect(readFileSync(`${mountPoint}/cpu.shares`, 'utf8')).toMatch(/^\d+\n$/);
    if (host.unified) expect(readFileSync(`${host.unified}/cgroup.controllers`, 'utf8')).toBeDefined();
    for (const controller of host.controllers) expect(CONTROLLERS[controller].does).toMatch(/\w/);
  });
});
