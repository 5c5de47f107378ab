import { statSync } from 'node:fs';
import { isErrno } from '../01-processes/index.ts';
import type { OciDevice } from '../05-runtime/index.ts';
import { badParameter } from './api-error.ts';
import type { HostConfig } from './container.ts';

/** Microseconds: Docker's period, in which a share of the processors is counted. */
const PERIOD = 100_000;

/** Devices that every container may use. `[allow, type, major, minor, access]`; undefined: any. Source: moby, oci/defaults.go. */
const DEVICES = [
  ['c', 1, 3, 'rwm'], // null
  ['c', 1, 5, 'rwm'], // zero
  ['c', 1, 7, 'rwm'], // full
  ['c', 1, 8, 'rwm'], // random
  ['c', 1, 9, 'rwm'], // urandom
  ['c', 5, 0, 'rwm'], // tty
  ['c', 5, 1, 'rwm'], // console
  ['c', 5, 2, 'rwm'], // ptmx
  ['c', 136, undefined, 'rwm'], // pts/*
  // A node may be made of any device; opening it is another matter.
  ['c', undefined, undefined, 'm'],
  ['b', undefined, undefined, 'm'],
] as const;

/** The limits of a container in the runtime spec's words: config-linux.md, "Control groups". Nothing asked, nothing said. */
export function linuxResources(host: HostConfig): Record<string, unknown> {
  const memory = clean({
    limit: host.Memory || undefined,
    reservation: host.MemoryReservation || undefined,
    // Docker's rule: as much swap again as memory, unless something else is said.
    swap: host.MemorySwap || (host.Memory ? host.Memory * 2 : undefined),
    swappiness: host.MemorySwappiness ?? undefined,
    disableOOMKiller: host.OomKillDisable || undefined,
  });
  const cpu = clean({
    shares: host.CpuShares || undefined,
    quota: host.NanoCpus ? Math.round((host.NanoCpus * PERIOD) / 1e9) : host.CpuQuota || undefined,
    period: host.NanoCpus ? PERIOD : host.CpuPeriod || undefined,
    cpus: host.CpusetCpus || undefined,
    mems: host.CpusetMems || undefined,
  });
  return {
    devices: host.Privileged ? [{ allow: true, access: 'rwm' }] : deviceRules(host),
    ...(Object.keys(memory).length > 0 && { memory }),
    ...(Object.keys(cpu).length > 0 && { cpu }),
    ...(host.PidsLimit ? { pids: { limit: host.PidsLimit } } : {}),
  };
}

function deviceRules(host: HostConfig): object[] {
  return [
    { allow: false, access: 'rwm' },
    ...DEVICES.map(([type, major, minor, access]) => clean({ allow: true, type, major, minor, access })),
    ...(host.Devices ?? []).map(({ PathOnHost, CgroupPermissions }) => {
      const { type, major, minor } = deviceNumbers(PathOnHost);
      return { allow: true, type, major, minor, access: CgroupPermissions || 'rwm' };
    }),
  ];
}

/** What a device of the host's is. The bits of a device number are those of makedev(3). @throws ApiError 400 */
export function deviceNumbers(path: string): Omit<OciDevice, 'path'> & { major: number; minor: number } {
  let stat;
  try {
    stat = statSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT'))
      throw badParameter(
        `error gathering device information while adding custom device "${path}": no such file or directory`,
      );
    throw error;
  }
  if (!stat.isCharacterDevice() && !stat.isBlockDevice())
    throw badParameter(
      `error gathering device information while adding custom device "${path}": not a device node`,
    );
  const [high, low] = [Math.floor(stat.rdev / 2 ** 32), stat.rdev >>> 0];
  return {
    type: stat.isBlockDevice() ? 'b' : 'c',
    major: ((low >>> 8) & 0xfff) | (high & 0xfffff000),
    minor: (low & 0xff) | ((low >>> 12) & 0xfff00),
    fileMode: stat.mode & 0o777,
    uid: stat.uid,
    gid: stat.gid,
  };
}

function clean(object: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
