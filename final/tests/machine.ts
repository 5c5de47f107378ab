import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { processes } from '../engine.ts';

/** What a container engine could leave behind on a machine: each kind of thing, each one of it as a line of text. */
export type Machine = Record<string, string[]>;

/** Looks at the whole machine. Links in /run, /tmp and /var/lib are not followed. */
export function lookAtMachine(): Machine {
  return {
    processes: processes()
      .filter(({ pid }) => !descendsFrom(pid, process.pid))
      .map(({ pid, args }) => `${pid} ${args.join(' ')}`),
    namespaces: processes().flatMap(({ pid }) => namespacesOf(pid)),
    mounts: lines('/proc/self/mountinfo').map((line) => line.split(' ').slice(2, 6).join(' ')),
    cgroups: folders('/sys/fs/cgroup', 8),
    links: output('ip', '-o', '-br', 'link').map((line) => line.split(/\s+/)[0]!),
    routes: output('ip', 'route', 'show', 'table', 'all'),
    rules: [
      ...output('nft', 'list', 'ruleset'),
      ...output('iptables-save').filter((line) => !/^[#:]/.test(line)),
    ],
    settings: ['net/ipv4/ip_forward', 'kernel/keys/maxkeys'].map(
      (name) => `${name} = ${readFileSync(`/proc/sys/${name}`, 'utf8').trim()}`,
    ),
    files: ['/run', '/tmp', '/var/lib', '/dev/shm', '/dev/mqueue'].flatMap((dir) => [dir, ...entries(dir)]),
  };
}

/** What is there now and was not before, and what is gone: `+ mounts: …`, `- links: …`. Empty when nothing changed. */
export function changes(before: Machine, after: Machine): string[] {
  return Object.keys(before).flatMap((kind) => {
    const [was, is] = [new Set(before[kind]), new Set(after[kind])];
    const gone =
      kind === 'processes' || kind === 'namespaces' || kind === 'files'
        ? []
        : [...was].filter((x) => !is.has(x));
    return [
      ...[...is].filter((x) => !was.has(x)).map((x) => `+ ${kind}: ${x}`),
      ...gone.map((x) => `- ${kind}: ${x}`),
    ];
  });
}

function descendsFrom(pid: number, ancestor: number): boolean {
  for (let at = pid; at > 1;) {
    if (at === ancestor) return true;
    const status = read(`/proc/${at}/status`);
    at = Number(/^PPid:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  }
  return false;
}

function namespacesOf(pid: number): string[] {
  const folder = `/proc/${pid}/ns`;
  try {
    return readdirSync(folder).map((name) => readlinkSync(join(folder, name)));
  } catch {
    return []; // it ended while it was looked at
  }
}

function folders(path: string, depth: number): string[] {
  if (depth === 0) return [];
  const inside = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return inside.flatMap((entry) => [join(path, entry.name), ...folders(join(path, entry.name), depth - 1)]);
}

function entries(path: string): string[] {
  try {
    return readdirSync(path).map((name) => join(path, name));
  } catch {
    return [];
  }
}

const lines = (path: string): string[] => read(path).trim().split('\n');

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
