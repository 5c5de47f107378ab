import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  isRunning,
  namespacesOf,
  readMountinfo,
  readStat,
  setSubreaper,
} from '../../chapters/01-processes/index.ts';
import { CLONE, mount, MS, runTool, unshare } from '../../chapters/02-namespaces/index.ts';
import { processes } from '../engine.ts';

/** What a container engine could leave behind on a machine: each kind of thing, each one of it as a line of text. */
export type Machine = Record<string, string[]>;

/**
 * Moves this process, and what it starts from here on, into a mount and a network namespace of its own, and makes it the one to whom
 * orphans come: so what others do on the machine meanwhile is not taken for the engine's doing.
 */
export function standApart(): void {
  unshare(CLONE.NEWNS | CLONE.NEWNET);
  mount({ target: '/', flags: MS.REC | MS.PRIVATE });
  runTool('ip', ['link', 'set', 'dev', 'lo', 'up']);
  setSubreaper();
}

/** Looks at the machine, after `standApart`. */
export function lookAtMachine(): Machine {
  const mine = processes().filter(({ pid }) => descendsFrom(pid, process.pid) && isRunning(pid));
  return {
    processes: mine.map(({ pid, args }) => `${pid} ${args.join(' ')}`),
    namespaces: mine.flatMap(({ pid }) => Object.values(namespacesOf(pid) ?? {})),
    mounts: readMountinfo('self')!.map((m) => `${m.mountPoint}, ${m.type} of ${m.source}`),
    cgroups: folders('/sys/fs/cgroup', 8).filter((path) => isOurs(path, new Set(mine.map(({ pid }) => pid)))),
    links: output('ip', '-o', '-br', 'link').map((line) => line.split(/\s+/)[0]!),
    // Whether a link has a carrier at the moment, and addresses that the kernel gives itself, are not of interest.
    routes: output('ip', '-4', 'route', 'show', 'table', 'all').map((line) => line.replace(/ linkdown$/, '')),
    rules: [
      ...output('nft', 'list', 'ruleset'),
      ...output('iptables-save').filter((line) => !/^[#:]/.test(line)),
    ],
    settings: ['net/ipv4/ip_forward'].map((name) => `${name} = ${read(`/proc/sys/${name}`).trim()}`),
    files: ['/run', '/tmp', '/var/lib', '/dev/shm']
      .flatMap((dir) => entries(dir))
      .filter((path) => /mydocker|myrunc|mycontainerd|shim/.test(path)),
  };
}

/** A cgroup that nobody is in, or one of ours: not one in which somebody else's processes run. */
function isOurs(cgroup: string, mine: ReadonlySet<number>): boolean {
  const inside = read(join(cgroup, 'cgroup.procs')).split('\n').filter(Boolean).map(Number);
  return inside.every((pid) => mine.has(pid));
}

const SHARED = new Set(['mounts', 'links', 'routes', 'rules', 'settings']);

/** What is there now and was not before, and what is gone: `+ mounts: …`, `- links: …`. Empty when nothing changed. */
export function changes(before: Machine, after: Machine): string[] {
  return Object.keys(before).flatMap((kind) => {
    const [was, is] = [new Set(before[kind]), new Set(after[kind])];
    // Processes, cgroups and files of others may go meanwhile; what is shared by all must stay.
    const gone = SHARED.has(kind) ? [...was].filter((x) => !is.has(x)) : [];
    return [
      ...[...is].filter((x) => !was.has(x)).map((x) => `+ ${kind}: ${x}`),
      ...gone.map((x) => `- ${kind}: ${x}`),
    ];
  });
}

function descendsFrom(pid: number, ancestor: number): boolean {
  for (let at = pid; at > 1; at = readStat(at)?.ppid ?? 0) if (at === ancestor) return true;
  return false;
}

/** The folders below a path, as many levels deep; what goes meanwhile is left out. */
export function folders(path: string, depth: number): string[] {
  if (depth === 0) return [];
  let inside;
  try {
    inside = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  } catch {
    return []; // somebody else's, and gone
  }
  return inside.flatMap((entry) => [join(path, entry.name), ...folders(join(path, entry.name), depth - 1)]);
}

function entries(path: string): string[] {
  try {
    return readdirSync(path).map((name) => join(path, name));
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function output(program: string, ...args: string[]): string[] {
  const { stdout, error } = spawnSync(program, args, { encoding: 'utf8' });
  return error
    ? []
    : stdout
        .split('\n')
        .map((line) => line.trim())
        .filter(Boolean);
}
