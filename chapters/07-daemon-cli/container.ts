/** A container's own configuration, in the Engine API's words: what it runs. Kept merged with the image's defaults. */
export interface ContainerConfig {
  Hostname: string;
  Domainname: string;
  User: string;
  AttachStdin: boolean;
  AttachStdout: boolean;
  AttachStderr: boolean;
  ExposedPorts?: Record<string, object>;
  Tty: boolean;
  OpenStdin: boolean;
  /** Standard input ends when the first client that is attached to it leaves. */
  StdinOnce: boolean;
  Env: string[];
  Cmd: string[] | null;
  Image: string;
  Volumes: Record<string, object> | null;
  WorkingDir: string;
  Entrypoint: string[] | null;
  OnBuild: null;
  Labels: Record<string, string>;
  StopSignal?: string;
  /** seconds */
  StopTimeout?: number;
}

export interface RestartPolicy {
  Name: '' | 'no' | 'always' | 'unless-stopped' | 'on-failure';
  MaximumRetryCount: number;
}

export interface MountRequest {
  Type: string;
  Source?: string;
  Target: string;
  ReadOnly?: boolean;
  BindOptions?: { Propagation?: string; CreateMountpoint?: boolean };
  VolumeOptions?: { NoCopy?: boolean; Labels?: Record<string, string> };
  TmpfsOptions?: { SizeBytes?: number; Mode?: number };
}

/** How a container sits on the host. Fields that the daemon has no use for are kept as they came. */
export interface HostConfig {
  Binds: string[] | null;
  Mounts?: MountRequest[];
  Tmpfs?: Record<string, string>;
  NetworkMode: string;
  RestartPolicy: RestartPolicy;
  AutoRemove: boolean;
  CapAdd: string[] | null;
  CapDrop: string[] | null;
  CgroupnsMode: string;
  Dns: string[] | null;
  DnsOptions: string[] | null;
  DnsSearch: string[] | null;
  ExtraHosts: string[] | null;
  GroupAdd: string[] | null;
  IpcMode: string;
  PidMode: string;
  UTSMode: string;
  OomScoreAdj: number;
  Privileged: boolean;
  ReadonlyRootfs: boolean;
  SecurityOpt: string[] | null;
  /** bytes */
  ShmSize: number;
  Sysctls?: Record<string, string>;
  Runtime: string;
  ConsoleSize: [rows: number, columns: number];
  /** bytes; 0: no limit */
  Memory: number;
  MemoryReservation: number;
  /** bytes of memory and swap together; -1: no limit; 0: twice Memory */
  MemorySwap: number;
  MemorySwappiness: number | null;
  /** billionths of a processor */
  NanoCpus: number;
  CpuShares: number;
  /** microseconds */
  CpuPeriod: number;
  CpuQuota: number;
  CpusetCpus: string;
  CpusetMems: string;
  PidsLimit: number | null;
  OomKillDisable: boolean | null;
  Ulimits: { Name: string; Soft: number; Hard: number }[] | null;
  Devices: { PathOnHost: string; PathInContainer: string; CgroupPermissions: string }[] | null;
  MaskedPaths: string[] | null;
  ReadonlyPaths: string[] | null;
  LogConfig: { Type: string; Config: Record<string, string> };
  [field: string]: unknown;
}

/** Something of the host's that the container sees at a place of its own. */
export interface MountPoint {
  type: 'bind' | 'volume';
  /** A volume's name. */
  name?: string;
  /** On the host. */
  source: string;
  /** In the container. */
  destination: string;
  /** What the user wrote after the second colon: `ro`, `z`, … */
  mode: string;
  writable: boolean;
  propagation: string;
}

export type ContainerStatus =
  'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';

export interface ContainerState {
  status: ContainerStatus;
  /** On the host; 0 when none runs. */
  pid: number;
  exitCode: number;
  /** Why the last start failed; empty otherwise. */
  error: string;
  oomKilled: boolean;
  /** Go's zero time where it has not happened. */
  startedAt: string;
  finishedAt: string;
  /** A person ended it: no restart policy starts it again. */
  stoppedByHand: boolean;
  /** Byte of the journal where the output of the run that is or was last begins. */
  journalStart: number;
}

/** The container's place in the bridge's network, while it runs. */
export interface Endpoint {
  id: string;
  /** The host's end of the cable. */
  hostName: string;
  /** `172.28.0.2` */
  address: string;
  prefixLength: number;
  gateway: string;
  mac: string;
}

/** All that the daemon knows of a container: one file on disk each. */
export interface ContainerRecord {
  /** of the file's format */
  version: 1;
  /** 64 hexadecimal digits */
  id: string;
  /** Without the slash that the API puts before it. */
  name: string;
  /** RFC 3339, with nanoseconds */
  created: string;
  /** The image's id: the digest of its configuration. */
  imageId: string;
  /** The image as it was asked for. */
  imageName: string;
  /** The snapshot that the container's own lies on. */
  imageSnapshot: string;
  config: ContainerConfig;
  hostConfig: HostConfig;
  mounts: MountPoint[];
  state: ContainerState;
  endpoint: Endpoint | null;
  restartCount: number;
}

/** Go's zero time, which the API shows for "never". */
export const NEVER = '0001-01-01T00:00:00Z';

/** Whether a process of the container's exists. */
export const isRunning = ({ state }: ContainerRecord): boolean =>
  state.status === 'running' || state.status === 'paused' || state.status === 'restarting';

/** The first twelve digits, which people see. */
export const shortId = (id: string): string => id.replace(/^sha256:/, '').slice(0, 12);

/** What a container runs: the entrypoint, and behind it the command. */
export function commandOf({ Entrypoint, Cmd }: Pick<ContainerConfig, 'Entrypoint' | 'Cmd'>): string[] {
  return [...(Entrypoint ?? []), ...(Cmd ?? [])];
}

/** This moment as the API writes moments. */
export function now(): string {
  return rfc3339(BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n);
}

/** Nanoseconds since 1970 as RFC 3339 with nanoseconds: `2026-01-02T03:04:05.000000006Z`. */
export function rfc3339(nanoseconds: bigint): string {
  const seconds = new Date(Number(nanoseconds / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  return `${seconds}.${String(nanoseconds % 1_000_000_000n).padStart(9, '0')}Z`;
}
