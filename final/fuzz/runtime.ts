import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listPids, readCmdline } from '../../chapters/01-processes/index.ts';
import { findBusybox } from '../../chapters/04-overlayfs/index.ts';
import { ConfigError, defaultSpec, validateSpec } from '../../chapters/05-runtime/index.ts';
import { BIN, build } from '../build.ts';
import { mutate, random, type Holder } from './json-mutations.ts';

export const summary =
  'myrunc on mutated config.json: 100,000 through its checks, a sample through create (--count N --create N --seed N)';

/** A config with most of what there is in it, so that most of it is mutated. */
function fullSpec(): object {
  const spec = defaultSpec();
  const hook = { path: '/bin/true', args: ['true'], env: ['A=b'], timeout: 5 };
  return {
    ...spec,
    process: {
      ...spec.process,
      terminal: false,
      args: ['true'],
      user: { uid: 0, gid: 0, umask: 18, additionalGids: [1, 2] },
    },
    hooks: { prestart: [hook], createContainer: [hook], poststop: [hook] },
    annotations: { a: 'b' },
    linux: {
      ...spec.linux,
      sysctl: { 'net.ipv4.ip_default_ttl': '60' },
      devices: [{ path: '/dev/mine', type: 'c', major: 1, minor: 3, fileMode: 438, uid: 0, gid: 0 }],
      resources: { ...spec.linux!.resources, pids: { limit: 20 }, cpu: { shares: 100 } },
      seccomp: {
        defaultAction: 'SCMP_ACT_ALLOW',
        architectures: ['SCMP_ARCH_X86_64'],
        syscalls: [
          {
            names: ['swapon'],
            action: 'SCMP_ACT_ERRNO',
            errnoRet: 5,
            args: [{ index: 0, value: 1, op: 'SCMP_CMP_EQ' }],
          },
        ],
      },
    },
  };
}

/** @returns 0 when nothing crashed, hung or was left */
export async function run(args: string[]): Promise<number> {
  const number = (name: string, otherwise: number): number =>
    args.includes(name) ? Number(args[args.indexOf(name) + 1]) : otherwise;
  const seed = number('--seed', Math.floor(Math.random() * 2 ** 32));
  const next = random(seed);
  console.log(`seed ${seed}`);
  const wrong = [
    ...checkInProcess(next, number('--count', 100_000)),
    ...(await createForReal(next, number('--create', 200))),
  ];
  for (const line of wrong.slice(0, 20)) console.log(`✗ ${line}`);
  console.log(
    wrong.length === 0
      ? 'no crash, no hang, nothing left'
      : `${wrong.length} failures; the same again with --seed ${seed}`,
  );
  return wrong.length === 0 ? 0 : 1;
}

/** The checks alone: each config is taken, or refused by an error that names the place; within a second. */
function checkInProcess(next: () => number, count: number): string[] {
  const wrong: string[] = [];
  const full = fullSpec();
  let refused = 0;
  const heapBefore = process.memoryUsage().heapUsed;
  for (let i = 0; i < count; i++) {
    // As a file would have it.
    const spec: unknown = JSON.parse(JSON.stringify(mutate(full, next)));
    const began = Date.now();
    try {
      validateSpec(spec);
    } catch (error) {
      refused++;
      if (!(error instanceof ConfigError)) wrong.push(`config ${i}: ${String(error)}`);
      else if (error.message.length > 1000)
        wrong.push(`config ${i}: a message of ${error.message.length} characters`);
    }
    if (Date.now() - began > 1000) wrong.push(`config ${i}: its check took ${Date.now() - began} ms`);
  }
  const grown = (process.memoryUsage().heapUsed - heapBefore) / 2 ** 20;
  if (grown > 200) wrong.push(`the heap grew by ${grown.toFixed(0)} MB`);
  console.log(`${count} configs checked: ${refused} refused, ${count - refused} taken`);
  return wrong;
}

/** A sample through the whole of create and delete: status 0 or 1, with a message; and nothing left. */
async function createForReal(next: () => number, count: number): Promise<string[]> {
  await build();
  const dir = mkdtempSync(join(tmpdir(), 'fuzz-runtime-'));
  const wrong: string[] = [];
  let made = 0;
  try {
    mkdirSync(join(dir, 'bundle/rootfs/bin'), { recursive: true });
    copyFileSync(findBusybox(), join(dir, 'bundle/rootfs/bin/true'));
    const myrunc = (...words: string[]): { status: number | null; stderr: string } =>
      spawnSync(join(BIN, 'myrunc'), ['--root', join(dir, 'state'), ...words], {
        encoding: 'utf8',
        timeout: 30_000,
        env: { PATH: process.env['PATH'] },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
    for (let i = 0; i < count; i++) {
      // What leads out of the test on purpose is no fault of the runtime: the machine's own places stay out of it.
      const spec = mutate(fullSpec(), next) as { linux?: Holder };
      if (typeof spec?.linux === 'object' && spec.linux)
        spec.linux['cgroupsPath'] = `/fuzz-${process.pid}-${i}`;
      writeFileSync(join(dir, 'bundle/config.json'), JSON.stringify(spec));
      const { status, stderr } = myrunc('run', '--bundle', join(dir, 'bundle'), `c${i}`);
      if (status === null) wrong.push(`create ${i} did not end`);
      else if (status !== 0 && !/level=error msg=/.test(stderr) && !stderr.startsWith('exec '))
        wrong.push(`create ${i}: status ${status}, ${JSON.stringify(stderr.slice(0, 300))}`);
      else if (/TypeError|RangeError|    at /.test(stderr))
        wrong.push(`create ${i}: ${stderr.slice(0, 300)}`);
      if (status === 0) made++;
      const deleted = myrunc('delete', '--force', `c${i}`);
      if (deleted.status !== 0) wrong.push(`delete ${i}: ${deleted.stderr.slice(0, 300)}`);
    }
    wrong.push(...leftOver(dir));
    console.log(`${count} configs run: ${made} to their end, ${count - made} refused`);
    return wrong;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function leftOver(dir: string): string[] {
  const trees = [
    '/sys/fs/cgroup',
    ...readdirSync('/sys/fs/cgroup').map((name) => join('/sys/fs/cgroup', name)),
  ];
  const cgroups = trees.flatMap((tree) => {
    try {
      return readdirSync(tree).filter((name) => name.startsWith(`fuzz-${process.pid}-`));
    } catch {
      return [];
    }
  });
  const processes = listPids().filter(
    (pid) => pid !== process.pid && readCmdline(pid)?.some((word) => word.includes(dir)),
  );
  const states = existsSync(join(dir, 'state')) ? readdirSync(join(dir, 'state')) : [];
  return [
    ...[...new Set(cgroups)].map((name) => `cgroup ${name} is left`),
    ...processes.map((pid) => `process ${pid} is left`),
    ...states.map((name) => `state of ${name} is left`),
  ];
}
