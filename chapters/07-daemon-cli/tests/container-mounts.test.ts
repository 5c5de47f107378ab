import { describe, expect, test } from 'vitest';
import { parseBind, tmpfsMounts, wantedMounts } from '../container-mounts.ts';
import { recordOf } from './records.ts';

describe('what -v asks for', () => {
  test('a path of the host is bound, a name is a volume', () => {
    expect(parseBind('/a/b:/c')).toMatchObject({
      type: 'bind',
      source: '/a/b',
      destination: '/c',
      writable: true,
    });
    expect(parseBind('data:/c/:ro')).toMatchObject({
      type: 'volume',
      source: 'data',
      destination: '/c/',
      writable: false,
    });
  });
  test.each([
    ['a', "invalid volume specification: 'a'"],
    ['/a:b', 'mount path must be absolute'],
    ['/a:/b:c:d', 'invalid volume specification'],
    ['/a:/', "destination can't be '/'"],
    ['/a:/b:nope', 'invalid mode: nope'],
    ['rel/path:/b', 'If you intended to pass a host directory, use absolute path'],
  ])('%s is refused', (bind, why) => {
    expect(() => parseBind(bind)).toThrow(why);
  });
  test('two mounts at one place are refused', () => {
    const { config, hostConfig } = recordOf({ host: { Binds: ['/a:/x', '/b:/x'] } });
    expect(() => wantedMounts(config, hostConfig)).toThrow('Duplicate mount point: /x');
  });
  test('an anonymous volume gives way to what is mounted at its place', () => {
    const { config, hostConfig } = recordOf({
      host: { Binds: ['/a:/x'] },
      runs: { Volumes: { '/x': {}, '/y': {} } },
    });
    expect(wantedMounts(config, hostConfig).map(({ type, destination }) => [type, destination])).toEqual([
      ['bind', '/x'],
      ['volume', '/y'],
    ]);
  });
});

test('tmpfs: without set-uid programs, devices and programs, unless asked', () => {
  const { hostConfig } = recordOf({ host: { Tmpfs: { '/t': 'size=1m,exec' } } });
  expect(tmpfsMounts(hostConfig)).toEqual([
    { destination: '/t', options: ['noexec', 'nosuid', 'nodev', 'size=1m', 'exec'] },
  ]);
});
