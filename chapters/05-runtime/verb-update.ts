import { readFileSync } from 'node:fs';
import { checkResources, parseSize, type LinuxResources } from '../03-cgroups/index.ts';
import { openContainer } from './container.ts';
import { saveState } from './state.ts';
import type { Run, Values } from './verbs.ts';

/** `update`: other limits for a container that exists. What is not named stays. */
export const run: Run = (context, options, [id]) => {
  const resources = options.resources === undefined ? fromOptions(options) : fromFile(options.resources);
  checkResources(resources);
  const { state, cgroup, status } = openContainer(context, id!);
  if (status() === 'stopped') throw new Error('container not running');
  cgroup.set(resources);
  const linux = (state.spec.linux ??= {});
  linux.resources = merge(linux.resources ?? {}, resources as Record<string, unknown>);
  saveState(context.root, state);
};

function fromFile(path: string): LinuxResources {
  const text = readFileSync(path === '-' ? 0 : path, 'utf8');
  let value: unknown;
  try {
    // runc's callers send every number, and 0 for "as it is".
    value = JSON.parse(text, (_key, v: unknown) => (v === null || v === 0 || v === '' ? undefined : v));
  } catch (cause) {
    throw new Error(`--resources ${path}: not JSON`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`--resources ${path}: expected an object`);
  return value;
}

function fromOptions(options: Values): LinuxResources {
  for (const name of ['l3-cache-schema', 'mem-bw-schema'])
    if (options[name] !== undefined)
      throw new Error(`--${name}: shares of caches and memory bandwidth (Intel RDT) are not done here`);
  const part = (entries: Record<string, unknown>): Record<string, unknown> | undefined => {
    const given = Object.entries(entries).filter(([, value]) => value !== undefined);
    return given.length > 0 ? Object.fromEntries(given) : undefined;
  };
  return {
    memory: part({
      limit: bytes(options, 'memory'),
      reservation: bytes(options, 'memory-reservation'),
      swap: bytes(options, 'memory-swap'),
    }),
    cpu: part({
      shares: options['cpu-share'],
      quota: options['cpu-quota'],
      period: options['cpu-period'],
      burst: options['cpu-burst'],
      idle: options['cpu-idle'],
      realtimeRuntime: options['cpu-rt-runtime'],
      realtimePeriod: options['cpu-rt-period'],
      cpus: options['cpuset-cpus'],
      mems: options['cpuset-mems'],
    }),
    pids: part({ limit: options['pids-limit'] }),
    blockIO: part({ weight: options['blkio-weight'] }),
  } as LinuxResources;
}

/** `50M` or bytes; -1 is unlimited. */
function bytes(options: Values, name: string): number | undefined {
  const text = options[name] as string | undefined;
  if (text === undefined) return undefined;
  return text === '-1' ? -1 : parseSize(text);
}

/** Objects within objects; a list or value replaces the old one. */
function merge(old: Record<string, unknown>, changes: Record<string, unknown>): Record<string, unknown> {
  const result = { ...old };
  for (const [key, value] of Object.entries(changes))
    if (value !== undefined)
      result[key] = isObject(value) && isObject(result[key]) ? merge(result[key], value) : value;
  return result;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
