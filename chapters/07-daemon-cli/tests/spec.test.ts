import { describe, expect, test } from 'vitest';
import { CAPABILITIES, DOCKER_CAPABILITIES, type Capability } from '../../01-processes/index.ts';
import { validateSpec } from '../../05-runtime/index.ts';
import { effectiveCapabilities, ociSpec, type SpecContext } from '../spec.ts';
import { linuxResources } from '../spec-resources.ts';
import { recordOf } from './records.ts';

const ALL = Object.keys(CAPABILITIES) as Capability[];
const context: SpecContext = {
  user: { uid: 0, gid: 0, additionalGids: [] },
  files: { hosts: '/d/hosts', hostname: '/d/hostname', resolvConf: '/d/resolv.conf' },
  join: {},
  cgroupVersion: 1,
  cgroupsPath: '/mydocker/x',
  available: ALL,
};
const specOf = (fields: Parameters<typeof recordOf>[0] = {}, more: Partial<SpecContext> = {}) =>
  ociSpec(recordOf(fields), { ...context, ...more });
const kinds = (spec: ReturnType<typeof specOf>) => spec.linux!.namespaces!.map(({ type }) => type);

describe('the spec of a container', () => {
  test('is one that the runtime accepts', () => {
    expect(() => validateSpec(specOf())).not.toThrow();
  });

  test('has Docker’s namespaces; its own cgroup namespace on v2 alone', () => {
    expect(kinds(specOf())).toEqual(['mount', 'network', 'pid', 'ipc', 'uts']);
    expect(kinds(specOf({}, { cgroupVersion: 2 }))).toContain('cgroup');
  });

  test('leaves out the network namespace for the host’s, and joins another container’s by its process', () => {
    expect(kinds(specOf({ host: { NetworkMode: 'host' } }))).not.toContain('network');
    const joined = specOf({ host: { NetworkMode: 'container:x' } }, { join: { network: 77 } });
    expect(joined.linux!.namespaces).toContainEqual({ type: 'network', path: '/proc/77/ns/net' });
  });

  test('runs entrypoint and command, with PATH and the hostname, and TERM on a terminal', () => {
    const { process } = specOf({ runs: { Entrypoint: ['/e'], Cmd: ['c'], Tty: true, Env: ['A=b'] } });
    expect(process).toMatchObject({ args: ['/e', 'c'], cwd: '/', terminal: true });
    expect(process!.env).toEqual([
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'HOSTNAME=abababababab',
      'TERM=xterm',
      'A=b',
    ]);
  });

  test('gives root Docker’s fourteen capabilities, and another user only the bound', () => {
    expect(specOf().process!.capabilities!.effective).toEqual(DOCKER_CAPABILITIES);
    const user = specOf({}, { user: { uid: 5, gid: 5, additionalGids: [] } }).process!;
    expect(user.capabilities).toEqual({ bounding: DOCKER_CAPABILITIES });
  });

  test('hides and protects files of the kernel, unless privileged', () => {
    expect(specOf().linux!.maskedPaths).toContain('/proc/kcore');
    expect(specOf().linux!.readonlyPaths).toContain('/proc/sys');
    expect(specOf({ host: { Privileged: true } }).linux!.maskedPaths).toBeUndefined();
  });

  test('mounts what lies deeper later, and lets a user’s mount take the place of its own', () => {
    const { mounts } = specOf({
      host: { Tmpfs: { '/dev/shm': '' } },
      mounts: [
        { type: 'bind', source: '/s1', destination: '/a/b', mode: '', writable: false, propagation: '' },
        { type: 'bind', source: '/s2', destination: '/a', mode: '', writable: true, propagation: 'rslave' },
      ],
    });
    const places = mounts!.map(({ destination }) => destination);
    expect(places.indexOf('/a')).toBeLessThan(places.indexOf('/a/b'));
    expect(mounts!.find((m) => m.destination === '/a/b')!.options).toEqual(['rbind', 'rprivate', 'ro']);
    expect(mounts!.find((m) => m.destination === '/a')!.options).toEqual(['rbind', 'rslave']);
    expect(mounts!.filter((m) => m.destination === '/dev/shm')).toHaveLength(1);
    expect(mounts!.find((m) => m.destination === '/dev/shm')!.source).toBe('tmpfs');
  });
});

describe('capabilities', () => {
  const of = (host: object, available = ALL) =>
    effectiveCapabilities(recordOf({ host }).hostConfig, available);

  test('are added and dropped by name, with or without CAP_', () => {
    expect(of({ CapAdd: ['SYS_ADMIN'] })).toContain('CAP_SYS_ADMIN');
    expect(of({ CapDrop: ['CAP_CHOWN'] })).not.toContain('CAP_CHOWN');
    expect(of({ CapDrop: ['ALL'], CapAdd: ['KILL'] })).toEqual(['CAP_KILL']);
  });
  test('that do not exist are refused', () => {
    expect(() => of({ CapAdd: ['FLY'] })).toThrow('invalid CapAdd: unknown capability: "FLY"');
  });
  test('that this machine does not have are refused where they were asked for, and else left out', () => {
    const some = ALL.filter((name) => name !== 'CAP_SYS_RESOURCE' && name !== 'CAP_MKNOD');
    expect(() => of({ CapAdd: ['SYS_RESOURCE'] }, some)).toThrow('CAP_SYS_RESOURCE');
    expect(() => of({ Privileged: true }, some)).toThrow('CAP_SYS_RESOURCE');
    expect(of({}, some)).not.toContain('CAP_MKNOD');
  });
});

describe('limits', () => {
  const of = (host: object) => linuxResources(recordOf({ host }).hostConfig);

  test('nothing asked, nothing said but the devices', () => {
    expect(Object.keys(of({}))).toEqual(['devices']);
  });
  test('memory brings as much swap again', () => {
    expect(of({ Memory: 64 << 20 })['memory']).toEqual({ limit: 64 << 20, swap: 128 << 20 });
    expect(of({ Memory: 64 << 20, MemorySwap: -1 })['memory']).toEqual({ limit: 64 << 20, swap: -1 });
  });
  test('half a processor is half of a tenth of a second', () => {
    expect(of({ NanoCpus: 5e8 })['cpu']).toEqual({ quota: 50_000, period: 100_000 });
  });
  test('processes', () => {
    expect(of({ PidsLimit: 17 })['pids']).toEqual({ limit: 17 });
    expect(of({ PidsLimit: -1 })['pids']).toBeUndefined();
  });
});
