import { expect, test } from 'vitest';
import { systemdPlace } from '../index.ts';
import { resourceProperties } from '../systemd-properties.ts';
import { slicePath } from '../systemd-path.ts';
import { typesOf } from '../dbus.ts';
import type { LinuxResources } from '../resources.ts';

/** `Name=value` for each property. */
const properties = (resources: LinuxResources, layout: 'v1' | 'v2'): string[] =>
  resourceProperties(resources, layout).map(
    ({ name, value }) => `${name}=${typeof value === 'bigint' ? value : JSON.stringify(value)}`,
  );
const INFINITY = 2n ** 64n - 1n;

test.each([
  ['-.slice', ''],
  ['system.slice', '/system.slice'],
  ['a-b-c.slice', '/a.slice/a-b.slice/a-b-c.slice'],
  ['a--b.slice', undefined],
  ['-a.slice', undefined],
  ['a-.slice', undefined],
  ['../a.slice', undefined],
  ['a.scope', undefined],
  ['.slice', undefined],
])('the slice %s is at %s', (slice, path) => {
  expect(slicePath(slice)).toBe(path);
});

test('a place is slice, prefix and name', () => {
  expect(systemdPlace('system.slice:docker:4f2a')).toEqual({
    slice: 'system.slice',
    unit: 'docker-4f2a.scope',
    path: '/system.slice/docker-4f2a.scope',
  });
  expect(systemdPlace('::x')).toMatchObject({ slice: 'system.slice', unit: 'x.scope' });
  expect(systemdPlace('::x', true)).toMatchObject({ slice: 'user.slice' });
  expect(systemdPlace('machine-a.slice::b.slice').path).toBe('/machine.slice/machine-a.slice/b.slice');
});

test.each([
  ['/docker/4f2a', 'give slice:prefix:name'],
  ['a.slice:b:c:d', 'give slice:prefix:name'],
  ['a.slice:b:', 'it has no name'],
  ['../../etc.slice:b:c', '"../../etc.slice" is not the name of a slice'],
  ['a.slice:b:../c', 'letters, digits'],
  ['a.slice:b:c d', 'letters, digits'],
  [`a.slice:b:${'n'.repeat(250)}`, 'at most 255'],
])('%s is no place', (path, why) => {
  expect(() => systemdPlace(path)).toThrow(`invalid cgroup path ${JSON.stringify(path)}`);
  expect(() => systemdPlace(path)).toThrow(why);
});

test("limits are systemd's properties, in the words of its version of cgroups", () => {
  const resources: LinuxResources = {
    memory: { limit: 100, reservation: 50, swap: 300 },
    cpu: { shares: 1024, quota: 25_500, period: 100_000, cpus: '0-1,9', mems: '0' },
    pids: { limit: -1 },
    blockIO: { weight: 300 },
  };
  const both = [
    'CPUQuotaPeriodUSec=100000',
    'CPUQuotaPerSecUSec=260000', // whole hundredths of a processor, never less than asked for
    `TasksMax=${INFINITY}`,
  ];
  const sets = ['AllowedCPUs=[3,2]', 'AllowedMemoryNodes=[1]'];
  expect(properties(resources, 'v2')).toEqual([
    'MemoryMax=100',
    'MemoryLow=50',
    'MemorySwapMax=200',
    'CPUWeight=39',
    ...both,
    ...sets,
  ]);
  expect(properties(resources, 'v1')).toEqual([
    'MemoryLimit=100',
    'CPUShares=1024',
    ...both,
    'BlockIOWeight=300',
    ...sets,
  ]);
});

test('what is not asked for is no property, and unlimited is the largest number', () => {
  expect(properties({}, 'v2')).toEqual([]);
  expect(properties({ memory: { limit: -1 }, cpu: { quota: -1 } }, 'v2')).toEqual([
    `MemoryMax=${INFINITY}`,
    `MemorySwapMax=${INFINITY}`,
    `CPUQuotaPerSecUSec=${INFINITY}`,
  ]);
  expect(properties({ memory: { limit: 100, swap: 100 } }, 'v2')).toContain('MemorySwapMax=0');
  expect(properties({ cpu: { idle: 1, shares: 5 } }, 'v2')).toEqual(['CPUWeight=0']);
});

test('files of v2 that systemd has a word for are properties, the others files alone', () => {
  const unified = { 'memory.high': '1000', 'memory.oom.group': '1', 'pids.max': 'max' };
  expect(properties({ unified }, 'v2')).toEqual(['MemoryHigh=1000', `TasksMax=${INFINITY}`]);
});

test('device rules are a policy and a list', () => {
  expect(properties({ devices: [{ allow: true }] }, 'v2')).toEqual(['DevicePolicy="auto"', 'DeviceAllow=[]']);
  const devices = [
    { allow: false },
    { allow: true, type: 'c', access: 'm' },
    { allow: true, type: 'c', major: 1, minor: 3 },
    { allow: true, type: 'c', major: 1, access: 'r' },
    { allow: true, type: 'b', major: 4000 }, // no such driver: systemd could not name it
  ];
  expect(properties({ devices }, 'v2')).toEqual([
    'DevicePolicy="strict"',
    'DeviceAllow=[]',
    'DeviceAllow=[["char-*","m"],["/dev/char/1:3","rwm"],["char-mem","r"]]',
  ]);
});

test.each([
  ['ssa(sv)a(sa(sv))', ['s', 's', 'a(sv)', 'a(sa(sv))']],
  ['uoss', ['u', 'o', 's', 's']],
  ['aay(u(xt))', ['aay', '(u(xt))']],
  ['', []],
])('the types in the signature %j are %j', (signature, types) => {
  expect(typesOf(signature)).toEqual(types);
});
