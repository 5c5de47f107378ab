import type { ContainerFlags } from './cli-container-options.ts';
import type { PublishedPort } from './cli-ports.ts';
import { readKeyValueFile, resolveEnv } from './cli-values.ts';
import { parseKeyValue } from './cli-values.ts';

/** What of the world around goes into the body. */
export interface Surroundings {
  environment: NodeJS.ProcessEnv;
  /** The terminal that the container's will first be as large as; [0, 0] where there is none. */
  consoleSize: readonly [rows: number, cols: number];
  /** `run -d`: nothing is attached. */
  detach: boolean;
}

/** The body of POST /containers/create. Only what is read again here has its type. */
export type CreateBody = Readonly<Record<string, unknown>> & {
  Image: string;
  Tty: boolean;
  OpenStdin: boolean;
  AttachStdin: boolean;
  AttachStdout: boolean;
  AttachStderr: boolean;
  HostConfig: { AutoRemove: boolean } & Readonly<Record<string, unknown>>;
};

/**
 * The body of POST /containers/create, from a command line: byte for byte what Docker's client sends. A field that no flag speaks of
 * is there with its zero value, because Go writes every field; the few that Go omits when empty are `undefined` here.
 * @param command what follows the image's name
 * @throws Error for flags that contradict each other, and for a file of variables or labels that cannot be read
 */
export function createBody(
  flags: ContainerFlags,
  image: string,
  command: readonly string[],
  { environment, consoleSize, detach }: Surroundings,
): CreateBody {
  refuseContradictions(flags);
  const attached = attachedStreams(flags, detach);
  const interactive = flags.interactive ?? false;
  const published = flags.publish?.flat() ?? [];
  const ports = [...published.map(({ port }) => port), ...(flags.expose?.flat() ?? [])];
  const env = [
    ...resolveEnv(flags.envFile?.flatMap(readKeyValueFile) ?? [], environment),
    ...resolveEnv(flags.env ?? [], environment),
  ];
  const labels = [
    ...(flags.labelFile?.flatMap(readKeyValueFile).map(parseKeyValue) ?? []),
    ...(flags.label ?? []),
  ];
  const volumes = flags.volume ?? [];
  const binds = volumes.flatMap((volume) => ('bind' in volume ? [volume.bind] : []));
  const anonymous = volumes.flatMap((volume) => ('anonymous' in volume ? [[volume.anonymous, {}]] : []));
  return {
    Hostname: flags.hostname ?? '',
    Domainname: flags.domainname ?? '',
    User: flags.user ?? '',
    AttachStdin: attached.includes('stdin'),
    AttachStdout: attached.includes('stdout'),
    AttachStderr: attached.includes('stderr'),
    ExposedPorts: ports.length
      ? Object.fromEntries([...new Set(ports)].sort().map((port) => [port, {}]))
      : undefined,
    Tty: flags.tty ?? false,
    OpenStdin: interactive,
    StdinOnce: interactive && attached.includes('stdin'),
    Env: env.length ? env : null,
    Cmd: command.length ? command : null,
    Healthcheck: healthcheck(flags),
    Image: image,
    Volumes: Object.fromEntries(anonymous) as object,
    WorkingDir: flags.workdir ?? '',
    // `--entrypoint ''` says: forget the image's.
    Entrypoint: flags.entrypoint === undefined ? null : [flags.entrypoint],
    OnBuild: null,
    Labels: Object.fromEntries(labels),
    StopSignal: flags.stopSignal,
    StopTimeout: flags.stopTimeout,
    HostConfig: {
      Binds: binds.length ? binds : null,
      ContainerIDFile: flags.cidfile ?? '',
      LogConfig: { Type: flags.logDriver ?? '', Config: Object.fromEntries(flags.logOpt ?? []) as object },
      NetworkMode: flags.network ?? 'default',
      PortBindings: portBindings(published),
      RestartPolicy: flags.restart ?? { Name: 'no', MaximumRetryCount: 0 },
      AutoRemove: flags.rm ?? false,
      VolumeDriver: '',
      VolumesFrom: flags.volumesFrom ?? null,
      ConsoleSize: consoleSize,
      CapAdd: flags.capAdd ?? null,
      CapDrop: flags.capDrop ?? null,
      CgroupnsMode: flags.cgroupns ?? '',
      Dns: flags.dns ?? [],
      DnsOptions: flags.dnsOption ?? [],
      DnsSearch: flags.dnsSearch ?? [],
      ExtraHosts: flags.addHost ?? null,
      GroupAdd: flags.groupAdd ?? null,
      IpcMode: flags.ipc ?? '',
      Cgroup: '',
      Links: null,
      OomScoreAdj: flags.oomScoreAdj ?? 0,
      PidMode: flags.pid ?? '',
      Privileged: flags.privileged ?? false,
      PublishAllPorts: flags.publishAll ?? false,
      ReadonlyRootfs: flags.readOnly ?? false,
      SecurityOpt: flags.securityOpt ?? null,
      Tmpfs: flags.tmpfs ? Object.fromEntries(flags.tmpfs) : undefined,
      UTSMode: flags.uts ?? '',
      UsernsMode: flags.userns ?? '',
      ShmSize: flags.shmSize ?? 0,
      Sysctls: flags.sysctl ? Object.fromEntries(flags.sysctl) : undefined,
      Runtime: flags.runtime,
      Isolation: '',
      CpuShares: flags.cpuShares ?? 0,
      Memory: flags.memory ?? 0,
      NanoCpus: flags.cpus ?? 0,
      CgroupParent: flags.cgroupParent ?? '',
      BlkioWeight: 0,
      BlkioWeightDevice: [],
      BlkioDeviceReadBps: [],
      BlkioDeviceWriteBps: [],
      BlkioDeviceReadIOps: [],
      BlkioDeviceWriteIOps: [],
      CpuPeriod: flags.cpuPeriod ?? 0,
      CpuQuota: flags.cpuQuota ?? 0,
      CpuRealtimePeriod: 0,
      CpuRealtimeRuntime: 0,
      CpusetCpus: flags.cpusetCpus ?? '',
      CpusetMems: flags.cpusetMems ?? '',
      Devices: flags.device ?? [],
      DeviceCgroupRules: null,
      DeviceRequests: null,
      MemoryReservation: flags.memoryReservation ?? 0,
      MemorySwap: flags.memorySwap ?? 0,
      MemorySwappiness: flags.memorySwappiness ?? -1,
      OomKillDisable: flags.oomKillDisable ?? false,
      PidsLimit: flags.pidsLimit ?? 0,
      Ulimits: flags.ulimit ?? [],
      CpuCount: 0,
      CpuPercent: 0,
      IOMaximumIOps: 0,
      IOMaximumBandwidth: 0,
      Mounts: flags.mount,
      MaskedPaths: null,
      ReadonlyPaths: null,
    },
    NetworkingConfig: { EndpointsConfig: endpoints(flags) },
  };
}

/** What `-a` names; without it everything, or nothing where the container is left alone. */
function attachedStreams({ attach, interactive }: ContainerFlags, detach: boolean): string[] {
  if (attach) return [...new Set([...attach, ...(interactive ? ['stdin'] : [])])];
  if (detach) return [];
  return interactive ? ['stdin', 'stdout', 'stderr'] : ['stdout', 'stderr'];
}

function refuseContradictions(flags: ContainerFlags): void {
  if (flags.init)
    throw new RangeError(
      '--init: this engine has no init program to put in front of yours: leave it out, and let your program (or a shell) reap its children',
    );
  if (flags.rm && flags.restart && flags.restart.Name !== 'no')
    throw new RangeError('conflicting options: cannot specify both --restart and --rm');
  if (
    flags.noHealthcheck &&
    (flags.healthCmd ?? flags.healthInterval ?? flags.healthTimeout ?? flags.healthRetries) !== undefined
  )
    throw new RangeError('--no-healthcheck conflicts with --health-* options');
  const userMade = flags.network && !/^(default|bridge|host|none|container:.*)$/.test(flags.network);
  if (flags.networkAlias && !userMade)
    throw new RangeError('network-scoped aliases are only supported for user-defined networks');
  if (flags.network === 'host' && flags.publish)
    throw new RangeError(
      "conflicting options: port publishing and the host's network: leave out --publish, the ports are the host's own",
    );
}

function portBindings(published: readonly PublishedPort[]): object {
  const bindings: Record<string, object[]> = {};
  for (const { port, hostIp, hostPort } of [...published].sort((a, b) =>
    a.port < b.port ? -1 : a.port > b.port ? 1 : 0,
  ))
    (bindings[port] ??= []).push({ HostIp: hostIp, HostPort: hostPort });
  return bindings;
}

function healthcheck(flags: ContainerFlags): object | undefined {
  if (flags.noHealthcheck) return { Test: ['NONE'] };
  const { healthCmd, healthInterval, healthTimeout, healthStartPeriod, healthRetries } = flags;
  if (
    [healthCmd, healthInterval, healthTimeout, healthStartPeriod, healthRetries].every((v) => v === undefined)
  )
    return undefined;
  return {
    Test: healthCmd === undefined ? undefined : ['CMD-SHELL', healthCmd],
    Interval: healthInterval || undefined,
    Timeout: healthTimeout || undefined,
    StartPeriod: healthStartPeriod || undefined,
    Retries: healthRetries || undefined,
  };
}

/** The client names the network twice: as the mode, and as the first of the endpoints, unless it was asked for by a name that has none. */
function endpoints({ network, networkAlias }: ContainerFlags): object {
  if (network !== undefined && !networkAlias) return {};
  return {
    [network ?? 'default']: {
      IPAMConfig: null,
      Links: null,
      Aliases: networkAlias ?? null,
      MacAddress: '',
      DriverOpts: null,
      GwPriority: 0,
      NetworkID: '',
      EndpointID: '',
      Gateway: '',
      IPAddress: '',
      IPPrefixLen: 0,
      IPv6Gateway: '',
      GlobalIPv6Address: '',
      GlobalIPv6PrefixLen: 0,
      DNSNames: null,
    },
  };
}
