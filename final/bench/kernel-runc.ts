import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findBusybox } from '../../chapters/04-overlayfs/index.ts';
import { breathe, costOf, time } from './kernel-measure.ts';
import type { Row } from './kernel-costs.ts';

/**
 * runc's libcontainer, which does with the same kernel what the rows before do one by one: `create` makes namespaces, mounts and cgroup
 * and leaves a process waiting in them; `start` lets it go on; `delete` takes all away. The start of the program runc is in each of them;
 * `runc --version` is that alone.
 */
export async function runcCosts(rounds: number): Promise<Row[]> {
  if (spawnSync('runc', ['--version']).error)
    return [{ what: 'runc', why: 'not installed: apt-get install runc' }];
  const dir = mkdtempSync(join(tmpdir(), 'bench-kernel-'));
  const state = join(dir, 'state');
  const runc = (...args: string[]): void => {
    const { status } = spawnSync('runc', ['--root', state, ...args], { stdio: 'ignore' });
    if (status !== 0) throw new Error(`runc ${args.join(' ')} ended with status ${status}`);
  };
  const steps: Record<string, (id: string) => void> = {
    'runc --version': () => runc('--version'),
    'runc create': (id) => runc('create', '-b', dir, id),
    'runc start': (id) => runc('start', id),
    'runc delete': (id) => runc('delete', '-f', id),
  };
  const times: Record<string, number[]> = {};
  let id = '';
  try {
    makeBundle(dir);
    for (let i = 0; i < rounds; i++) {
      await breathe();
      id = `bench-${randomBytes(5).toString('hex')}`;
      for (const [name, step] of Object.entries(steps)) (times[name] ??= []).push(time(() => step(id)));
    }
    return Object.entries(times).map(([what, all]) => ({ what, cost: costOf(all) }));
  } finally {
    spawnSync('runc', ['--root', state, 'delete', '-f', id], { stdio: 'ignore' });
    rmSync(dir, { recursive: true, force: true });
  }
}

/** A bundle as `runc spec` writes it, whose program is busybox's true, with a limit of each kind. */
function makeBundle(dir: string): void {
  mkdirSync(join(dir, 'rootfs', 'bin'), { recursive: true });
  copyFileSync(findBusybox(), join(dir, 'rootfs', 'bin', 'busybox'));
  spawnSync('runc', ['spec', '-b', dir]);
  const file = join(dir, 'config.json');
  const spec = JSON.parse(readFileSync(file, 'utf8')) as {
    process: { terminal: boolean; args: string[] };
    linux: { resources: object };
  };
  spec.process = { ...spec.process, terminal: false, args: ['/bin/busybox', 'true'] };
  spec.linux.resources = {
    ...spec.linux.resources,
    memory: { limit: 64 * 1024 * 1024 },
    cpu: { quota: 50_000, period: 100_000 },
    pids: { limit: 50 },
  };
  writeFileSync(file, JSON.stringify(spec));
}
