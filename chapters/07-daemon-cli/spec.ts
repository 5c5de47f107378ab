import { posix } from 'node:path';
import {
  CAPABILITIES,
  DOCKER_CAPABILITIES,
  parseCapability,
  type Capability,
} from '../01-processes/index.ts';
import {
  DEFAULT_PATH,
  READ_ONLY_PATHS,
  type OciMount,
  type OciNamespace,
  type OciProcess,
  type OciSpec,
} from '../05-runtime/index.ts';
import { badParameter } from './api-error.ts';
import { mergeEnv } from './container-config.ts';
import { tmpfsMounts } from './container-mounts.ts';
import { commandOf, type ContainerRecord, type HostConfig } from './container.ts';
import type { User } from './passwd.ts';
import { seccompOf } from './seccomp-option.ts';
import { deviceNumbers, linuxResources } from './spec-resources.ts';

/** What of the world around goes into the spec. */
export interface SpecContext {
  user: User;
  /** Files of the daemon's that are bound over the image's. */
  files: { hosts: string; hostname: string; resolvConf: string };
  /** Another container's process whose namespaces are joined, by namespace. */
  join: Partial<Record<'network' | 'pid' | 'ipc', number>>;
  /** 2 where the machine has the one tree of cgroup v2 alone. */
  cgroupVersion: 1 | 2;
  /** Where the container's cgroup is: `/mydocker/ID`. */
  cgroupsPath: string;
  /** The capabilities that the daemon itself can give. */
  available: readonly Capability[];
}

/** Files of the kernel that tell of the host, or reach it: hidden. Source: moby, oci/defaults.go. */
const MASKED = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];

/**
 * The runtime spec (config.json) of a container, as dockerd would write it: what the Engine API calls a container, in the words that
 * an OCI runtime understands.
 * Source: OCI runtime-spec; moby, oci/defaults.go and daemon/oci_linux.go.
 * @throws ApiError 400 for capabilities that do not exist, or that this machine's root does not have
 */
export function ociSpec(record: ContainerRecord, context: SpecContext): OciSpec {
  const { config, hostConfig: host } = record;
  const seccomp = seccompOf(host, effectiveCapabilities(host, context.available));
  return {
    ociVersion: '1.0.2',
    process: {
      ...processSpec(config, host, context.user, context.available),
      args: commandOf(config),
      cwd: config.WorkingDir || '/',
      terminal: config.Tty,
      ...(config.Tty && host.ConsoleSize[0] > 0 && host.ConsoleSize[1] > 0
        ? { consoleSize: { height: host.ConsoleSize[0], width: host.ConsoleSize[1] } }
        : {}),
    },
    root: { path: 'rootfs', readonly: host.ReadonlyRootfs },
    ...(host.UTSMode === 'host' ? {} : { hostname: config.Hostname }),
    mounts: mounts(record, context),
    linux: {
      namespaces: namespaces(host, context),
      cgroupsPath: context.cgroupsPath,
      resources: linuxResources(host),
      ...sysctl(host),
      ...(seccomp && { seccomp }),
      ...(host.Privileged
        ? {}
        : {
            maskedPaths: host.MaskedPaths ?? MASKED,
            readonlyPaths: host.ReadonlyPaths ?? [...READ_ONLY_PATHS],
          }),
      devices: (host.Devices ?? []).map(({ PathInContainer, PathOnHost }) => ({
        path: PathInContainer || PathOnHost,
        ...deviceNumbers(PathOnHost),
      })),
    },
  };
}

/** What is the same for the first process of a container and for those that `exec` brings in. */
export function processSpec(
  config: Pick<ContainerRecord['config'], 'Env' | 'Hostname' | 'Tty'>,
  host: HostConfig,
  user: User,
  available: readonly Capability[],
): Omit<OciProcess, 'cwd'> {
  const capabilities = effectiveCapabilities(host, available);
  const base = [DEFAULT_PATH, `HOSTNAME=${config.Hostname}`, ...(config.Tty ? ['TERM=xterm'] : [])];
  return {
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    env: mergeEnv(base, config.Env),
    // A user who is not root may get them only by a program that gives them: the bounding set alone.
    capabilities:
      user.uid === 0
        ? { bounding: capabilities, effective: capabilities, permitted: capabilities }
        : { bounding: capabilities },
    ...(host.Ulimits?.length
      ? {
          rlimits: host.Ulimits.map(({ Name, Soft, Hard }) => ({
            type: `RLIMIT_${Name.toUpperCase()}`,
            soft: Soft,
            hard: Hard,
          })),
        }
      : {}),
    ...(host.OomScoreAdj ? { oomScoreAdj: host.OomScoreAdj } : {}),
    noNewPrivileges: (host.SecurityOpt ?? []).some((option) =>
      /^no-new-privileges(?:[:=]true)?$/.test(option),
    ),
  };
}

/** Docker's fourteen, with those that were added and without those that were dropped. */
export function effectiveCapabilities(
  { CapAdd, CapDrop, Privileged }: HostConfig,
  available: readonly Capability[],
): Capability[] {
  const all = Object.keys(CAPABILITIES) as Capability[];
  const read = (names: string[] | null, what: string): Set<Capability> =>
    new Set(
      (names ?? []).flatMap((name) => {
        if (/^(cap_)?all$/i.test(name)) return all;
        try {
          return [parseCapability(name)];
        } catch {
          throw badParameter(`invalid ${what}: unknown capability: "${name.toUpperCase()}"`);
        }
      }),
    );
  const [added, dropped] = [read(CapAdd, 'CapAdd'), read(CapDrop, 'CapDrop')];
  const wanted = Privileged
    ? all
    : all.filter((name) => added.has(name) || (DOCKER_CAPABILITIES.includes(name) && !dropped.has(name)));
  const missing = wanted.filter((name) => !available.includes(name));
  const asked = missing.filter((name) => Privileged || added.has(name));
  if (asked.length > 0)
    throw badParameter(
      `this machine's root has no ${asked.join(', ')}, so no container can have it: leave out ${Privileged ? '--privileged' : '--cap-add'}`,
    );
  return wanted.filter((name) => available.includes(name));
}

function namespaces(host: HostConfig, { join, cgroupVersion }: SpecContext): OciNamespace[] {
  const list: OciNamespace[] = [{ type: 'mount' }];
  const add = (type: 'network' | 'pid' | 'ipc', mode: string): void => {
    if (mode === 'host') return;
    const file = { network: 'net', pid: 'pid', ipc: 'ipc' }[type];
    list.push(join[type] === undefined ? { type } : { type, path: `/proc/${join[type]}/ns/${file}` });
  };
  add('network', host.NetworkMode);
  add('pid', host.PidMode);
  add('ipc', host.IpcMode);
  if (host.UTSMode !== 'host') list.push({ type: 'uts' });
  // Docker's default: on v1 the container sees the host's paths, on v2 its own.
  const own = host.CgroupnsMode ? host.CgroupnsMode === 'private' : cgroupVersion === 2;
  if (own) list.push({ type: 'cgroup' });
  return list;
}

function mounts(record: ContainerRecord, { files }: SpecContext): OciMount[] {
  const { hostConfig: host, mounts: points } = record;
  const readOnly = host.Privileged ? [] : ['ro'];
  const kernel: OciMount[] = [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    {
      destination: '/sys',
      type: 'sysfs',
      source: 'sysfs',
      options: ['nosuid', 'noexec', 'nodev', ...readOnly],
    },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: [...readOnly, 'nosuid', 'noexec', 'nodev'],
    },
    {
      destination: '/dev/mqueue',
      type: 'mqueue',
      source: 'mqueue',
      options: ['nosuid', 'noexec', 'nodev'],
    },
    {
      destination: '/dev/shm',
      type: 'tmpfs',
      source: 'shm',
      options: ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${host.ShmSize}`],
    },
  ];
  const own: OciMount[] = [
    ...Object.entries({
      '/etc/resolv.conf': files.resolvConf,
      '/etc/hostname': files.hostname,
      '/etc/hosts': files.hosts,
    }).map(([destination, source]) => ({
      destination,
      type: 'bind',
      source,
      options: ['rbind', 'rprivate', ...(host.ReadonlyRootfs ? ['ro'] : [])],
    })),
    ...points.map(({ destination, source, writable, propagation }) => ({
      destination,
      type: 'bind',
      source,
      options: ['rbind', propagation || 'rprivate', ...(writable ? [] : ['ro'])],
    })),
    ...tmpfsMounts(host).map(({ destination, options }) => ({
      destination,
      type: 'tmpfs',
      source: 'tmpfs',
      options,
    })),
  ];
  // A user's mount takes the place of ours; what lies deeper comes later.
  const depth = (path: string): number => posix.normalize(path).split('/').length;
  const places = new Map([...kernel, ...own].map((mount) => [mount.destination, mount]));
  const builtIn = kernel.filter((mount) => places.get(mount.destination) === mount);
  const rest = [...places.values()].filter((mount) => !builtIn.includes(mount));
  return [...builtIn, ...rest.sort((a, b) => depth(a.destination) - depth(b.destination))];
}

function sysctl(host: HostConfig): { sysctl?: Record<string, string> } {
  // Without the host's network, ports below 1024 and ping need no privilege: nothing of the host is behind them.
  const network =
    host.NetworkMode === 'host' || host.NetworkMode.startsWith('container:')
      ? {}
      : { 'net.ipv4.ip_unprivileged_port_start': '0', 'net.ipv4.ping_group_range': '0 2147483647' };
  const all = { ...network, ...host.Sysctls };
  return Object.keys(all).length > 0 ? { sysctl: all } : {};
}
