import { expect, test } from 'vitest';
import { canonicalName, familiarName, parseReference } from '../cli-reference.ts';
import { parseVolume } from '../cli-mounts.ts';
import { parseExpose, parsePublish } from '../cli-ports.ts';
import {
  parseBytes,
  parseBytesOrUnlimited,
  parseCpus,
  parseDuration,
  parseEnv,
  parseInteger,
  parseNetwork,
  parseRestart,
} from '../cli-values.ts';

test('sizes are in powers of 1024', () => {
  expect(['512m', '1.5g', '64MiB', '10kb', '7', '0'].map(parseBytes)).toEqual([
    2 ** 29,
    1.5 * 2 ** 30,
    2 ** 26,
    10240,
    7,
    0,
  ]);
  for (const bad of ['5x', '-1', 'm', '', '1 2m', '1e3'])
    expect(() => parseBytes(bad), bad).toThrow('such as 512m');
  expect(parseBytesOrUnlimited('-1')).toBe(-1);
});

test('processors are counted in billionths', () => {
  expect(['0.5', '2', '.25', '1/4'].map(parseCpus)).toEqual([5e8, 2e9, 2.5e8, 2.5e8]);
  for (const bad of ['x', '-1', '']) expect(() => parseCpus(bad), bad).toThrow('such as 0.5 or 2');
  expect(() => parseCpus('0.0000000001')).toThrow('too precise');
});

test('whole numbers keep to their limits', () => {
  expect(parseInteger(-1)('20')).toBe(20);
  expect(() => parseInteger(-1)('x')).toThrow('give a whole number, -1 or more');
  expect(() => parseInteger(-1000, 1000)('1001')).toThrow('from -1000 to 1000');
});

test('durations as Go writes them', () => {
  expect(['1h30m', '1.5s', '300ms', '0'].map(parseDuration)).toEqual([5400e9, 1.5e9, 3e8, 0]);
  for (const bad of ['5', '5x', 's', '']) expect(() => parseDuration(bad), bad).toThrow('such as 1m30s');
});

test('a variable has a name', () => {
  expect(parseEnv('A=')).toBe('A=');
  for (const bad of ['=x', '']) expect(() => parseEnv(bad), bad).toThrow('give NAME=value, or NAME');
});

test('networks: the three that are always there, another container, or a name', () => {
  for (const good of ['bridge', 'host', 'none', 'container:web', 'my-net_1.x'])
    expect(parseNetwork(good)).toBe(good);
  for (const bad of ['', 'container:', 'a b', '../x', 'container:a b'])
    expect(() => parseNetwork(bad), bad).toThrow('give bridge, host, none, container:NAME');
});

test('volumes: paths in the container are absolute, sources are absolute or names', () => {
  expect(parseVolume('/a:/b:ro,rslave')).toEqual({ bind: '/a:/b:ro,rslave' });
  expect(parseVolume('./x:/y')).toEqual({ bind: `${process.cwd()}/x:/y` });
  for (const bad of ['', 'a', '/a:b', 'rel/path:/x', '/a:/b:rx', 'a:b:c:d', ':/x', '/a:/'])
    expect(() => parseVolume(bad), bad).toThrow(/absolute|give|'\/'/);
});

test('ports: numbers and ranges up to 65535', () => {
  expect(parsePublish('8080:80')).toEqual([{ port: '80/tcp', hostIp: '', hostPort: '8080' }]);
  expect(parsePublish('[::1]:8080:80/udp')).toEqual([{ port: '80/udp', hostIp: '::1', hostPort: '8080' }]);
  expect(parsePublish('80')).toEqual([{ port: '80/tcp', hostIp: '', hostPort: '' }]);
  expect(parsePublish('8000-8010:80')).toEqual([{ port: '80/tcp', hostIp: '', hostPort: '8000-8010' }]);
  expect(parseExpose('80-82/udp')).toEqual(['80/udp', '81/udp', '82/udp']);
  for (const bad of ['abc', '99999:80', '80:', '1:2:3:4', '80/icmp', '80-82:80-81', '5-3:5-3', 'x.y:80:80'])
    expect(() => parsePublish(bad), bad).toThrow(RangeError);
});

test('restart policies', () => {
  expect(parseRestart('on-failure:3')).toEqual({ Name: 'on-failure', MaximumRetryCount: 3 });
  for (const bad of ['foo', 'on-failure:x', 'always:3'])
    expect(() => parseRestart(bad), bad).toThrow('give no, always');
});

test('names of images', () => {
  expect(parseReference('127.0.0.1:5000/a/b:c')).toEqual({ repository: '127.0.0.1:5000/a/b', tag: 'c' });
  expect(familiarName('busybox')).toBe('busybox:latest');
  expect(['busybox', 'a/b', 'localhost/x:1', 'r.org:5/x'].map(canonicalName)).toEqual([
    'docker.io/library/busybox:latest',
    'docker.io/a/b:latest',
    'localhost/x:1',
    'r.org:5/x:latest',
  ]);
  expect(() => parseReference('UPPER')).toThrow('repository name (library/UPPER) must be lowercase');
  for (const bad of ['', 'a:b:c', 'a b', ':x', 'a@b'])
    expect(() => parseReference(bad), bad).toThrow('invalid reference format');
});
