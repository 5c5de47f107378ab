import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { traces, workbench, type Workbench } from './workbench.ts';

let bench: Workbench;
let source: string;
beforeAll(async () => {
  bench = await workbench();
  source = join(bench.dir, 'source');
  mkdirSync(join(source, 'dir'), { recursive: true });
  writeFileSync(join(source, 'dir/file'), 'text');
});
afterEach(() => expect(traces(bench)).toEqual([]));
afterAll(() => bench.remove());

const HOST = 200_000;
type Change = NonNullable<Parameters<Workbench['bundle']>[0]>;

/** Runs a script in a container with a user namespace, whose root owns the files of the container's root. */
function inUserNamespace(script: string, change: Change): ReturnType<Workbench['myrunc']> {
  const bundle = bench.bundle((spec) => {
    spec.process.args = ['sh', '-c', script];
    spec.linux.namespaces!.push({ type: 'user' });
    spec.linux.uidMappings = spec.linux.gidMappings = [{ containerID: 0, hostID: HOST, size: 65_536 }];
    change(spec);
  });
  expect(spawnSync('chown', ['-R', `${HOST}:${HOST}`, join(bundle, 'rootfs')]).status).toBe(0);
  return bench.myrunc('run', '-b', bundle, bench.id());
}
const bindTo = (
  spec: Parameters<NonNullable<Parameters<Workbench['bundle']>[0]>>[0],
  options: string[],
): void => void spec.mounts.push({ destination: '/mnt', type: 'bind', source: join(source, 'dir'), options });

it('binds, in a user namespace, what its root could not have reached', () => {
  chmodSync(source, 0o700);
  try {
    const { out, err } = inUserNamespace('cat /mnt/file', (spec) => bindTo(spec, ['rbind']));
    expect({ out, err }).toEqual({ out: 'text', err: '' });
  } finally {
    chmodSync(source, 0o755);
  }
});

it('shows files of an id-mapped mount as of other owners, and writes them back as of theirs', () => {
  for (const path of ['dir', 'dir/file']) chownSync(join(source, path), 1000, 1001);
  const plain = bench.run('stat -c %u:%g /mnt/file', (spec) => bindTo(spec, ['bind']));
  expect(plain.out).toBe('1000:1001\n');
  const { out, err } = bench.run('stat -c %u:%g /mnt/file; touch /mnt/new', (spec) => {
    spec.process.user = { uid: 3000, gid: 3001 };
    spec.process.capabilities = {};
    bindTo(spec, ['bind', 'idmap']);
    spec.mounts.at(-1)!.uidMappings = [{ containerID: 1000, hostID: 3000, size: 1 }];
    spec.mounts.at(-1)!.gidMappings = [{ containerID: 1001, hostID: 3001, size: 1 }];
  });
  expect({ out, err }).toEqual({ out: '3000:3001\n', err: '' });
  const made = statSync(join(source, 'dir/new'));
  expect([made.uid, made.gid]).toEqual([1000, 1001]);
});

it('takes the maps of the container where the mount has none', () => {
  chownSync(join(source, 'dir/file'), 0, 0);
  const owner = (options: string[]): string =>
    inUserNamespace('stat -c %u:%g /mnt/file', (spec) => bindTo(spec, options)).out;
  expect(owner(['bind'])).toBe('65534:65534\n');
  expect(owner(['bind', 'idmap'])).toBe('0:0\n');
  expect(owner(['rbind', 'ridmap'])).toBe('0:0\n');
});

it('refuses what cannot be id-mapped before anything is made', () => {
  const refused = (options: string[], change?: Change): string =>
    bench.run('true', (spec) => {
      bindTo(spec, options);
      change?.(spec);
    }).err;
  expect(refused(['bind', 'idmap'])).toContain('takes the maps of the container, which has none');
  expect(
    refused(['bind'], (spec) => {
      spec.mounts.at(-1)!.uidMappings = [{ containerID: 0, hostID: 1, size: 1 }];
    }),
  ).toContain('uidMappings and gidMappings go together');
  expect(
    refused(['bind'], (spec) => spec.mounts.push({ destination: '/t', type: 'tmpfs', options: ['idmap'] })),
  ).toContain('only bind mounts');
});
