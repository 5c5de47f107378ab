import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { namespacesOf, readMountinfo } from '../../01-processes/index.ts';
import { eventually, traces, workbench, type Workbench } from './workbench.ts';

let bench: Workbench;
beforeAll(async () => void (bench = await workbench()));
afterEach(() => expect(traces(bench)).toEqual([]));
afterAll(() => bench.remove());

/** What lets a container share the mount namespace: nothing in config.json may then need one of its own. */
const share: Parameters<Workbench['bundle']>[0] = ({ linux, root, mounts }) => {
  linux.namespaces = linux.namespaces!.filter(({ type }) => type !== 'mount');
  delete linux.maskedPaths;
  delete linux.readonlyPaths;
  root!.readonly = false;
  mounts.splice(0, mounts.length, ...mounts.filter(({ destination }) => destination !== '/sys/fs/cgroup'));
};
/** Whom mounts of the machine's own reach; others come and go with other tests. */
const propagation = (): unknown[] =>
  readMountinfo()!
    .filter(({ mountPoint }) => ['/', '/proc', '/sys', '/dev'].includes(mountPoint))
    .map(({ mountPoint, propagation }) => [mountPoint, propagation]);

describe('a container without a mount namespace of its own', () => {
  it('has its root by chroot, and its mounts in the machine’s table until it is deleted', () => {
    const before = propagation();
    const id = bench.id();
    const bundle = bench.bundle((spec) => {
      share(spec);
      spec.process.args = ['sleep', '1000'];
    });
    expect(bench.myrunc('run', '-d', '-b', bundle, id)).toMatchObject({ status: 0, err: '' });
    const { pid } = JSON.parse(bench.myrunc('state', id).out) as { pid: number };
    expect(eventually(() => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n')).toBe(true);
    expect(namespacesOf(pid)!['mnt']).toBe(namespacesOf('self')!['mnt']);
    expect(namespacesOf(pid)!['pid']).not.toBe(namespacesOf('self')!['pid']);
    expect(traces(bench).filter((line) => line.includes(`${bundle}/rootfs/dev/shm`))).toHaveLength(1);
    expect(bench.myrunc('exec', id, 'ls', '/').out).toBe('bin\ndev\netc\nproc\nsys\n');
    expect(bench.myrunc('delete', '--force', id)).toMatchObject({ status: 0, err: '' });
    expect(propagation()).toEqual(before);
  });

  it('leaves no mount when it is not finished', () => {
    const { status, err } = bench.run('true', (spec) => {
      share(spec);
      spec.process.args = ['/no/such'];
    });
    expect(status).toBe(1);
    expect(err).toContain('no such file');
  });

  it.each([
    [
      'maskedPaths',
      (spec: Parameters<NonNullable<typeof share>>[0]) => (spec.linux.maskedPaths = ['/proc/keys']),
    ],
    ['root.readonly', (spec: Parameters<NonNullable<typeof share>>[0]) => (spec.root!.readonly = true)],
    [
      'rootfsPropagation',
      (spec: Parameters<NonNullable<typeof share>>[0]) => (spec.linux.rootfsPropagation = 'slave'),
    ],
  ])('may not have what would change the machine’s own mounts: %s', (_name, change) => {
    const { status, err } = bench.run('true', (spec) => {
      share(spec);
      change(spec);
    });
    expect(status).toBe(1);
    expect(err).toMatch(/mount namespace of its own|without a private MNT namespace/);
  });
});
