import { randomBytes } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { execve, exitCode, fork, getpid, waitpid } from '../../chapters/01-processes/index.ts';
import {
  clone,
  namespaceIds,
  NAMESPACES,
  unshare,
  type NamespaceKind,
} from '../../chapters/02-namespaces/index.ts';
import { createCgroup, detectCgroups, type Cgroup } from '../../chapters/03-cgroups/index.ts';
import { measure, type Cost } from './kernel-measure.ts';

/** One thing measured: what it is, and what it cost. */
export interface Row {
  what: string;
  /** Undefined where this machine cannot do it, and `why` says why. */
  cost?: Cost;
  why?: string;
}

/** unshare(1)'s name for a kind of namespace. */
const OPTIONS: Readonly<Record<NamespaceKind, string>> = {
  user: '--user',
  cgroup: '--cgroup',
  ipc: '--ipc',
  uts: '--uts',
  net: '--net',
  pid: '--pid',
  time: '--time',
  mnt: '--mount',
};

/** A process made, and waited for. @throws Error when it fails */
function run(child: () => void): void {
  const status = exitCode(waitpid(fork(child)));
  if (status !== 0) throw new Error(`the child ended with status ${status}`);
}

/** Another program run to its end. @throws Error when it fails */
function program(...[name, ...args]: [string, ...string[]]): void {
  const { status, stderr, error } = spawnSync(name, args, { encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${name} ${args.join(' ')}: ${stderr.trim().split('\n')[0]}`);
}

/** fork, exec, wait; beside how Node itself runs a program. */
export const processCosts = (rounds: number): Promise<Row[]> =>
  rows(rounds, {
    'fork, exit, wait': () => run(() => undefined),
    'fork, exec of true, wait': () => run(() => execve('/bin/true', ['true'], [])),
    'spawnSync of true (Node’s own)': () => program('/bin/true'),
  });

/** Each namespace by unshare(2) in a forked child, all but the user's in one clone3(2), and the same by unshare(1). */
export function namespaceCosts(rounds: number): Promise<Row[]> {
  const kinds = Object.keys(NAMESPACES) as NamespaceKind[];
  const most = kinds.filter((kind) => kind !== 'user' && kind !== 'time');
  const flags = most.reduce((all, kind) => all | NAMESPACES[kind].flag, 0);
  const here = namespaceIds('self');
  const known = (kind: NamespaceKind, thing: () => void) => (): void => {
    if (here[kind] === undefined) throw new Error(`this kernel has no ${kind} namespaces`);
    thing();
  };
  const ours = kinds.map((kind) => [
    `fork and unshare(2): ${kind}`,
    known(kind, () => run(() => unshare(NAMESPACES[kind].flag))),
  ]);
  const theirs = kinds.map((kind) => [
    `unshare(1): ${kind}`,
    known(kind, () => program('unshare', OPTIONS[kind], '/bin/true')),
  ]);
  return rows(
    rounds,
    Object.fromEntries([
      ...ours,
      ['clone3(2): six at once', () => void waitpid(clone(flags, () => 0))],
      ...theirs,
      ['unshare(1): six at once', () => program('unshare', ...most.map((k) => OPTIONS[k]), '/bin/true')],
    ]) as Record<string, () => void>,
  );
}

/** A cgroup in every tree of this machine, with the limits of `docker run --memory --cpus --pids-limit`. */
export async function cgroupCosts(rounds: number): Promise<Row[]> {
  const { layout } = detectCgroups();
  const limits = {
    memory: { limit: 64 * 1024 * 1024 },
    cpu: { quota: 50_000, period: 100_000 },
    pids: { limit: 50 },
  };
  const path = (): string => `/bench-${randomBytes(5).toString('hex')}`;
  const withCgroup = (resources: typeof limits | object, use: (cgroup: Cgroup) => void): void => {
    const cgroup = createCgroup(path(), resources);
    try {
      use(cgroup);
    } finally {
      cgroup.remove();
    }
  };
  return rows(rounds, {
    [`cgroup made and removed (${layout})`]: () => withCgroup({}, () => undefined),
    [`… with memory, cpu and pids limits`]: () => withCgroup(limits, () => undefined),
    [`… and a process forked into it`]: () =>
      // Node's process.pid would be the parent's.
      withCgroup(limits, (cgroup) => run(() => cgroup.add(getpid()))),
  });
}

/** Measures each; one that fails is a row that says why. */
export async function rows(rounds: number, things: Record<string, () => void>): Promise<Row[]> {
  const found: Row[] = [];
  for (const [what, thing] of Object.entries(things)) {
    try {
      found.push({ what, cost: await measure(rounds, thing) });
    } catch (error) {
      if ((error as Error).name === 'Interrupted') throw error;
      found.push({ what, why: (error as Error).message });
    }
  }
  return found;
}
