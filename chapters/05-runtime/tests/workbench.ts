import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeExecutable } from '../../01-processes/index.ts';
import { until } from '../../01-processes/tests/until.ts';
import { defaultSpec, type OciSpec } from '../index.ts';

/** What a command said, and how it ended. */
export interface Said {
  status: number | null;
  out: string;
  err: string;
}

/** A place of this test's own: an executable of the runtime, bundles, and a directory for states. */
export interface Workbench {
  dir: string;
  /** --root */
  root: string;
  program: string;
  /** An id that nobody else has. */
  id(): string;
  /** A bundle with a root of busybox; `change` gets the spec before it is written. */
  bundle(change?: (spec: OciSpec & Required<Pick<OciSpec, 'process' | 'linux' | 'mounts'>>) => void): string;
  myrunc(...args: string[]): Said;
  /** The same with another program in its place. */
  call(program: string, ...args: string[]): Said;
  /** Runs a shell script in a container of its own, to its end. */
  run(script: string, change?: Parameters<Workbench['bundle']>[0]): Said;
  remove(): void;
}

const APPLETS = [
  'sh',
  'cat',
  'ls',
  'id',
  'sleep',
  'echo',
  'mkdir',
  'touch',
  'mount',
  'grep',
  'hostname',
  'readlink',
  'stat',
  'tty',
  'stty',
  'env',
  'ip',
  'kill',
  'dd',
  'ps',
  'true',
  'test',
  'head',
  'wc',
  'chmod',
  'umask',
  'mknod',
  'find',
  'uname',
  'ionice',
];

export async function workbench(): Promise<Workbench> {
  if (process.getuid!() !== 0) throw new Error('These tests make containers: run them as root.');
  const dir = mkdtempSync(join(tmpdir(), 'ch05-'));
  chmodSync(dir, 0o711); // the root of a user namespace is nobody here, and has to pass
  const program = join(dir, 'myrunc');
  await makeExecutable({
    source: join(import.meta.dirname, '../myrunc.ts'),
    out: program,
    singleThreaded: true,
  });
  const root = join(dir, 'state');
  let count = 0;
  const unique = dir.slice(dir.lastIndexOf('-') + 1);
  const bench: Workbench = {
    dir,
    root,
    program,
    id: () => `ch05-${unique}-${++count}`,
    bundle: (change) => {
      const bundle = join(dir, `bundle${++count}`);
      makeRootfs(join(bundle, 'rootfs'));
      const spec = defaultSpec() as Parameters<NonNullable<typeof change>>[0];
      spec.process.terminal = false;
      if (!spec.linux.namespaces!.some(({ type }) => type === 'cgroup'))
        spec.linux.namespaces!.push({ type: 'cgroup' }); // on v1 `spec` leaves it out
      spec.linux.cgroupsPath = `/ch05-${unique}-b${count}`;
      change?.(spec);
      writeFileSync(join(bundle, 'config.json'), JSON.stringify(spec));
      return bundle;
    },
    myrunc: (...args) => bench.call(program, ...args),
    call: (called, ...args) => {
      // Files, not pipes: a container that stays would hold a pipe open, and the wait for its end would not end.
      const [out, err] = ['out', 'err'].map((name) => join(dir, name)) as [string, string];
      const [outFd, errFd] = [openSync(out, 'w'), openSync(err, 'w')];
      try {
        const { status } = spawnSync(called, ['--root', root, ...args], {
          env: { PATH: process.env['PATH'] },
          stdio: ['ignore', outFd, errFd],
          timeout: 120_000,
        });
        return { status, out: readFileSync(out, 'utf8'), err: readFileSync(err, 'utf8') };
      } finally {
        closeSync(outFd);
        closeSync(errFd);
      }
    },
    run: (script, change) => {
      const bundle = bench.bundle((spec) => {
        spec.process.args = ['sh', '-c', script];
        change?.(spec);
      });
      return bench.myrunc('run', '--bundle', bundle, bench.id());
    },
    remove: () => {
      for (const id of existsSync(root) ? readdirSync(root) : []) bench.myrunc('delete', '--force', id);
      rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  return bench;
}

function makeRootfs(path: string): void {
  mkdirSync(join(path, 'bin'), { recursive: true });
  mkdirSync(join(path, 'etc'));
  copyFileSync(busybox(), join(path, 'bin/busybox'));
  for (const applet of APPLETS) symlinkSync('busybox', join(path, 'bin', applet));
  writeFileSync(
    join(path, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n',
  );
}

function busybox(): string {
  const found = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));
  if (!found) throw new Error('There is no static busybox: install the package busybox-static.');
  return found;
}

/** What this test's name marks in the kernel: cgroups and mounts. Compared before and after. */
export function traces(bench: Workbench): string[] {
  const unique = bench.dir.slice(bench.dir.lastIndexOf('-') + 1);
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(unique));
  const trees = [
    '/sys/fs/cgroup',
    ...readdirSync('/sys/fs/cgroup').map((name) => join('/sys/fs/cgroup', name)),
  ];
  const cgroups = trees.flatMap((tree) => {
    try {
      return readdirSync(tree)
        .filter((name) => name.includes(unique))
        .map((name) => join(tree, name));
    } catch {
      return [];
    }
  });
  const states = existsSync(bench.root) ? readdirSync(bench.root) : [];
  return [...mounts, ...cgroups, ...states];
}

/** Waits until something holds. @throws Error when it does not within a minute */
export const eventually = (holds: () => boolean): boolean => until('it holds', holds, 60);
