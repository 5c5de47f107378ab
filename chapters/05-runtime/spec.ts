/**
 * config.json, as far as it concerns Linux: the types of the OCI runtime specification, under its own names.
 * Source: https://github.com/opencontainers/runtime-spec, config.md and config-linux.md, version 1.2.
 */

import { detectCgroups } from '../03-cgroups/index.ts';
import type { OciIoPriority, OciPersonality, OciScheduler } from './scheduling.ts';

/** The newest version of the specification that this runtime was written for. */
export const OCI_VERSION = '1.2.0';

export interface OciSpec {
  ociVersion: string;
  process?: OciProcess;
  root?: { path: string; readonly?: boolean };
  hostname?: string;
  domainname?: string;
  mounts?: OciMount[];
  hooks?: OciHooks;
  annotations?: Record<string, string>;
  linux?: OciLinux;
}

/** What is to run. `exec --process FILE` reads one of these too. */
export interface OciProcess {
  terminal?: boolean;
  consoleSize?: { height: number; width: number };
  /** Working directory, absolute, in the container. */
  cwd: string;
  /** `NAME=value`. PATH among them is the one that the command is looked up in. */
  env?: string[];
  args?: string[];
  user?: OciUser;
  capabilities?: OciCapabilities;
  rlimits?: { type: string; soft: number; hard: number }[];
  noNewPrivileges?: boolean;
  apparmorProfile?: string;
  selinuxLabel?: string;
  /** -1000 (never) to 1000 (first), for the kernel's choice of whom to kill when memory ends. */
  oomScoreAdj?: number;
  scheduler?: OciScheduler;
  ioPriority?: OciIoPriority;
  /** For `exec`: processors to run on until the container's cgroup is joined, and from then on. Lists as `0-3,7`. */
  execCPUAffinity?: { initial?: string; final?: string };
}

export interface OciUser {
  uid: number;
  gid: number;
  umask?: number;
  additionalGids?: number[];
}

/** The five sets of capabilities(7), names as CAP_CHOWN. */
export interface OciCapabilities {
  bounding?: string[];
  effective?: string[];
  inheritable?: string[];
  permitted?: string[];
  ambient?: string[];
}

export interface OciMount {
  destination: string;
  type?: string;
  source?: string;
  options?: string[];
  uidMappings?: OciIdMapping[];
  gidMappings?: OciIdMapping[];
}

export interface OciHook {
  /** Absolute, in the runtime's file system (startContainer: in the container's). */
  path: string;
  /** argv, its first element included. */
  args?: string[];
  env?: string[];
  /** seconds */
  timeout?: number;
}

export const HOOK_KINDS = [
  'prestart',
  'createRuntime',
  'createContainer',
  'startContainer',
  'poststart',
  'poststop',
] as const;
export type HookKind = (typeof HOOK_KINDS)[number];
export type OciHooks = Partial<Record<HookKind, OciHook[]>>;

export interface OciIdMapping {
  containerID: number;
  hostID: number;
  size: number;
}

/** The specification's names of the namespaces, and the kernel's (files in /proc/PID/ns). */
export const NAMESPACE_TYPES = {
  user: 'user',
  cgroup: 'cgroup',
  ipc: 'ipc',
  uts: 'uts',
  network: 'net',
  pid: 'pid',
  time: 'time',
  mount: 'mnt',
} as const;
export type NamespaceType = keyof typeof NAMESPACE_TYPES;

export interface OciNamespace {
  type: NamespaceType;
  /** Join the one that this file stands for; without it, a new one is made. */
  path?: string;
}

export interface OciDevice {
  /** c or u: character, b: block, p: fifo */
  type: 'c' | 'u' | 'b' | 'p';
  path: string;
  major?: number;
  minor?: number;
  /** Permission bits, as a number: 438 is 0666. */
  fileMode?: number;
  uid?: number;
  gid?: number;
}

export interface OciLinux {
  namespaces?: OciNamespace[];
  uidMappings?: OciIdMapping[];
  gidMappings?: OciIdMapping[];
  /** By clock: `monotonic`, `boottime`. */
  timeOffsets?: Record<string, { secs?: number; nanosecs?: number }>;
  devices?: OciDevice[];
  cgroupsPath?: string;
  /** In the shape that chapter 03 takes; checked there. */
  resources?: Record<string, unknown>;
  rootfsPropagation?: string;
  seccomp?: OciSeccomp;
  sysctl?: Record<string, string>;
  maskedPaths?: string[];
  readonlyPaths?: string[];
  mountLabel?: string;
  intelRdt?: unknown;
  personality?: OciPersonality;
}

/** A filter of system calls. Source: config-linux.md, "Seccomp". */
export interface OciSeccomp {
  defaultAction: string;
  defaultErrnoRet?: number;
  architectures?: string[];
  flags?: string[];
  /** Socket of the supervisor that SCMP_ACT_NOTIFY asks. */
  listenerPath?: string;
  /** Passed on to it as it is. */
  listenerMetadata?: string;
  syscalls?: {
    names: string[];
    action: string;
    errnoRet?: number;
    args?: { index: number; value: number; valueTwo?: number; op: string }[];
  }[];
}

/** The PATH of a container whose image names none. */
export const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Switches of the kernel: shown to a container, and not to be turned. The same for runc and for dockerd. */
export const READ_ONLY_PATHS: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

/** A mapping of one id range, as `spec --rootless` writes it. */
const ownId = (hostID: number): OciIdMapping[] => [{ containerID: 0, hostID, size: 1 }];

/**
 * What `myrunc spec` writes: a shell on a terminal, few capabilities, a read-only root. The same as runc's, word for word, but for the
 * version and the hostname.
 */
export function defaultSpec(): OciSpec {
  const capabilities = ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'];
  return {
    ociVersion: OCI_VERSION,
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ['sh'],
      env: [DEFAULT_PATH, 'TERM=xterm'],
      cwd: '/',
      capabilities: {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
        ambient: capabilities,
      },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: 'myrunc',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
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
        destination: '/dev/shm',
        type: 'tmpfs',
        source: 'shm',
        options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'],
      },
      {
        destination: '/dev/mqueue',
        type: 'mqueue',
        source: 'mqueue',
        options: ['nosuid', 'noexec', 'nodev'],
      },
      {
        destination: '/sys',
        type: 'sysfs',
        source: 'sysfs',
        options: ['nosuid', 'noexec', 'nodev', 'ro'],
      },
      {
        destination: '/sys/fs/cgroup',
        type: 'cgroup',
        source: 'cgroup',
        options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro'],
      },
    ],
    linux: {
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      namespaces: [
        { type: 'pid' },
        { type: 'network' },
        { type: 'ipc' },
        { type: 'uts' },
        { type: 'mount' },
        // On v1 each tree would show another root, and few programs expect that: runc has it on v2 alone.
        ...(detectCgroups().layout === 'v2' ? [{ type: 'cgroup' as const }] : []),
      ],
      maskedPaths: [
        '/proc/acpi',
        '/proc/asound',
        '/proc/kcore',
        '/proc/keys',
        '/proc/latency_stats',
        '/proc/timer_list',
        '/proc/timer_stats',
        '/proc/sched_debug',
        '/sys/firmware',
        '/proc/scsi',
      ],
      readonlyPaths: [...READ_ONLY_PATHS],
    },
  };
}

/** The same for a user who is not root: a user namespace in which only that user exists, and nothing that needs more. */
export function rootlessSpec(uid: number, gid: number): OciSpec {
  const spec = defaultSpec();
  const linux = spec.linux!;
  delete linux.resources;
  linux.namespaces = [...linux.namespaces!.filter(({ type }) => type !== 'network'), { type: 'user' }];
  linux.uidMappings = ownId(uid);
  linux.gidMappings = ownId(gid);
  spec.mounts = spec
    .mounts!.filter(({ destination }) => destination !== '/sys/fs/cgroup')
    .map((mount) =>
      mount.destination === '/sys'
        ? {
            destination: '/sys',
            type: 'none',
            source: '/sys',
            options: ['rbind', 'nosuid', 'noexec', 'nodev', 'ro'],
          }
        : { ...mount, ...(mount.options && { options: mount.options.filter((o) => o !== 'gid=5') }) },
    );
  return spec;
}
