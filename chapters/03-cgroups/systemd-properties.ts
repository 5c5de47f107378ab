import { readFileSync } from 'node:fs';
import type { Value } from './dbus.ts';
import type { CgroupHost } from './detect.ts';
import { deviceList } from './devices.ts';
import { parseList } from './sizes.ts';
import type { DeviceRule, LinuxResources } from './resources.ts';
import { sharesToWeight } from './sizes.ts';
import { swapOnly } from './v2-limits.ts';

/** A property of a unit as D-Bus has it: its name, and its value with its signature. */
export interface Property {
  name: string;
  signature: string;
  value: Value;
}

/** "No limit" in systemd's properties: the largest number of 64 bits. */
const INFINITY = 2n ** 64n - 1n;

/**
 * These limits as properties of a unit, as runc writes them. systemd has words for a part of them alone, so the files are written too:
 * what systemd knows it does not undo when it looks at its units again (`systemctl daemon-reload`).
 * Source: systemd.resource-control(5); libcontainer/cgroups/systemd for which property takes what
 */
export function resourceProperties(resources: LinuxResources, layout: CgroupHost['layout']): Property[] {
  const { memory = {}, cpu = {}, pids = {}, blockIO = {} } = resources;
  const v2 = layout === 'v2';
  const properties: Property[] = [];
  const number = (name: string, value: number | string | undefined): void => {
    if (value === undefined || value === 0) return;
    properties.push({ name, signature: 't', value: Number(value) < 0 ? INFINITY : wide(Number(value)) });
  };
  if (resources.devices?.length) properties.push(...deviceProperties(resources.devices));
  number(v2 ? 'MemoryMax' : 'MemoryLimit', memory.limit);
  if (v2) {
    number('MemoryLow', memory.reservation);
    number('MemorySwapMax', swapOnly(memory));
  }
  if (cpu.idle === 1 && v2) properties.push({ name: 'CPUWeight', signature: 't', value: 0n });
  else if (cpu.shares && v2) number('CPUWeight', sharesToWeight(cpu.shares));
  else number('CPUShares', cpu.shares);
  properties.push(...quotaProperties(cpu.quota, cpu.period));
  number('TasksMax', pids.limit);
  if (!v2) number('BlockIOWeight', blockIO.weight);
  for (const [name, list] of [
    ['AllowedCPUs', cpu.cpus],
    ['AllowedMemoryNodes', cpu.mems],
  ] as const)
    if (list) properties.push({ name, signature: 'ay', value: bitmask(list) });
  for (const [file, value] of Object.entries(resources.unified ?? {})) {
    const name = UNIFIED[file];
    if (name) number(name, value.trim() === 'max' ? -1 : value.trim());
  }
  return properties;
}

/** Files of v2 that are properties too. The others of `unified` are files alone. */
const UNIFIED: Readonly<Record<string, string>> = {
  'cpu.weight': 'CPUWeight',
  'memory.min': 'MemoryMin',
  'memory.low': 'MemoryLow',
  'memory.high': 'MemoryHigh',
  'memory.max': 'MemoryMax',
  'memory.swap.max': 'MemorySwapMax',
  'pids.max': 'TasksMax',
};

/**
 * A quota as microseconds in each second. systemd counts it in hundredths of a processor, so it is rounded up: what the file says then must not be beyond
 * what systemd has set above it.
 */
function quotaProperties(quota = 0, period = 0): Property[] {
  const properties: Property[] = [];
  if (period) properties.push({ name: 'CPUQuotaPeriodUSec', signature: 't', value: wide(period) });
  if (quota || period) {
    const perSecond = quota > 0 ? Math.ceil((quota * 100) / (period || 100_000)) * 10_000 : -1;
    properties.push({
      name: 'CPUQuotaPerSecUSec',
      signature: 't',
      value: perSecond < 0 ? INFINITY : wide(perSecond),
    });
  }
  return properties;
}

/** A list of processors as systemd takes it: one bit each, the lowest first. */
export function bitmask(list: string): number[] {
  const bytes: number[] = [];
  for (const n of parseList(list)) {
    while (bytes.length <= n >> 3) bytes.push(0);
    bytes[n >> 3]! |= 1 << (n & 7);
  }
  return bytes;
}

/**
 * Device rules in systemd's words: a policy, and what it allows beside. It can't say "all but these": then it allows all, and
 * the cgroup's own rules, written after, do the rest.
 */
function deviceProperties(rules: readonly DeviceRule[]): Property[] {
  const { allowAll, exceptions } = deviceList(rules);
  const allowed = allowAll
    ? []
    : exceptions.flatMap(({ type, major, minor, access }) => {
        const kind = type === 'c' ? 'char' : 'block';
        if (major === '*') return minor === '*' ? [[`${kind}-*`, access]] : [];
        if (minor !== '*') return [[`/dev/${kind}/${major}:${minor}`, access]];
        const driver = driverOf(type, major);
        return driver ? [[`${kind}-${driver}`, access]] : [];
      });
  return [
    { name: 'DevicePolicy', signature: 's', value: allowAll ? 'auto' : 'strict' },
    { name: 'DeviceAllow', signature: 'a(ss)', value: [] }, // an empty list forgets the one before
    ...(allowed.length ? [{ name: 'DeviceAllow', signature: 'a(ss)', value: allowed }] : []),
  ];
}

/** The name under which /proc/devices has a major number: `pts` for 136. */
function driverOf(type: 'b' | 'c', major: number): string | undefined {
  const [characters = '', blocks = ''] = readFileSync('/proc/devices', 'utf8').split('Block devices:');
  return new RegExp(`^ *${major} (\\S+)$`, 'm').exec(type === 'c' ? characters : blocks)?.[1];
}

/** Numbers beyond what a double holds are rounded by JSON already. */
const wide = (value: number): bigint => (value >= 2 ** 63 ? INFINITY : BigInt(Math.trunc(value)));
