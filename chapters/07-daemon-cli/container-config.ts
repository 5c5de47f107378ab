import { availableParallelism } from 'node:os';
import { signalNumber } from '../01-processes/index.ts';
import type { ContainerDefaults } from '../04-overlayfs/index.ts';
import { badParameter, notImplemented } from './api-error.ts';
import { commandOf, type ContainerConfig, type HostConfig } from './container.ts';

/** The body of POST /containers/create: the container's configuration, with the host's beside it. */
export interface CreateBody extends ContainerConfig {
  HostConfig: Partial<HostConfig> | null;
  NetworkingConfig: { EndpointsConfig?: Record<string, unknown> | null } | null;
}

const MEGABYTE = 1 << 20;
/** runc needs this much to start anything. Bytes. */
const LEAST_MEMORY = 6 * MEGABYTE;
const DEFAULT_SHM = 64 * MEGABYTE;

/**
 * The container's configuration: the body of the request over the defaults of the image, every field there.
 * @throws ApiError 400 for what cannot be, in Docker's words
 */
export function mergeConfig(
  body: Partial<CreateBody>,
  image: ContainerDefaults,
  id: string,
): ContainerConfig {
  const given = (list: string[] | null | undefined): list is string[] => list != null && list.length > 0;
  // `--entrypoint ""` sends [""]: forget the image's entrypoint, and its command with it.
  const reset = body.Entrypoint?.length === 1 && body.Entrypoint[0] === '';
  const entrypoint = given(body.Entrypoint) ? (reset ? null : body.Entrypoint) : (image.Entrypoint ?? null);
  const cmd = given(body.Cmd) ? body.Cmd : given(body.Entrypoint) ? null : (image.Cmd ?? null);
  const config: ContainerConfig = {
    Hostname: body.Hostname || id.slice(0, 12),
    Domainname: body.Domainname ?? '',
    User: body.User || image.User || '',
    AttachStdin: body.AttachStdin ?? false,
    AttachStdout: body.AttachStdout ?? false,
    AttachStderr: body.AttachStderr ?? false,
    ...((body.ExposedPorts ?? image.ExposedPorts) && {
      ExposedPorts: { ...image.ExposedPorts, ...body.ExposedPorts },
    }),
    Tty: body.Tty ?? false,
    OpenStdin: body.OpenStdin ?? false,
    StdinOnce: body.StdinOnce ?? false,
    Env: mergeEnv(image.Env ?? [], body.Env ?? []),
    Cmd: cmd,
    Image: body.Image ?? '',
    Volumes:
      image.Volumes || Object.keys(body.Volumes ?? {}).length > 0
        ? { ...image.Volumes, ...body.Volumes }
        : null,
    WorkingDir: body.WorkingDir || image.WorkingDir || '',
    Entrypoint: entrypoint,
    OnBuild: null,
    Labels: { ...image.Labels, ...body.Labels },
    ...((body.StopSignal || image.StopSignal) && { StopSignal: body.StopSignal || image.StopSignal! }),
    ...(body.StopTimeout != null && { StopTimeout: body.StopTimeout }),
  };
  if (commandOf(config).length === 0) throw badParameter('no command specified');
  if (config.WorkingDir !== '' && !config.WorkingDir.startsWith('/'))
    throw badParameter(
      `the working directory '${config.WorkingDir}' is invalid, it needs to be an absolute path`,
    );
  if (!/^[a-zA-Z0-9][a-zA-Z0-9.-]{0,62}$/.test(config.Hostname))
    throw badParameter(`invalid hostname format: ${config.Hostname}`);
  if (config.StopSignal) checkSignal(config.StopSignal);
  for (const variable of body.Env ?? [])
    if (variable === '' || variable.startsWith('='))
      throw badParameter(`invalid environment variable: ${variable}`);
  return config;
}

/** The image's variables, then the user's; a name that both have gets the user's value; a name without a value is taken away. */
export function mergeEnv(base: readonly string[], over: readonly string[]): string[] {
  const variables = new Map<string, string | undefined>();
  for (const entry of [...base, ...over]) {
    const at = entry.indexOf('=');
    if (at === -1) variables.delete(entry);
    else variables.set(entry.slice(0, at), entry.slice(at + 1));
  }
  return [...variables].map(([name, value]) => `${name}=${value}`);
}

/**
 * The host's side of the configuration, every field there.
 * @throws ApiError 400 for limits that cannot be kept, 501 for what this engine cannot do
 */
export function completeHostConfig(body: Partial<HostConfig>, defaultRuntime: string): HostConfig {
  const host: HostConfig = {
    ...body,
    Binds: body.Binds ?? null,
    NetworkMode: !body.NetworkMode || body.NetworkMode === 'default' ? 'bridge' : body.NetworkMode,
    RestartPolicy: {
      Name: body.RestartPolicy?.Name || 'no',
      MaximumRetryCount: body.RestartPolicy?.MaximumRetryCount ?? 0,
    },
    AutoRemove: body.AutoRemove ?? false,
    CapAdd: body.CapAdd ?? null,
    CapDrop: body.CapDrop ?? null,
    CgroupnsMode: body.CgroupnsMode ?? '',
    Dns: body.Dns ?? [],
    DnsOptions: body.DnsOptions ?? [],
    DnsSearch: body.DnsSearch ?? [],
    ExtraHosts: body.ExtraHosts ?? null,
    GroupAdd: body.GroupAdd ?? null,
    IpcMode: body.IpcMode || 'private',
    PidMode: body.PidMode ?? '',
    UTSMode: body.UTSMode ?? '',
    OomScoreAdj: body.OomScoreAdj ?? 0,
    Privileged: body.Privileged ?? false,
    ReadonlyRootfs: body.ReadonlyRootfs ?? false,
    SecurityOpt: body.SecurityOpt ?? null,
    ShmSize: body.ShmSize || DEFAULT_SHM,
    Runtime: body.Runtime || defaultRuntime,
    ConsoleSize: body.ConsoleSize ?? [0, 0],
    Memory: body.Memory ?? 0,
    MemoryReservation: body.MemoryReservation ?? 0,
    MemorySwap: body.MemorySwap ?? 0,
    MemorySwappiness:
      body.MemorySwappiness === undefined || body.MemorySwappiness === -1 ? null : body.MemorySwappiness,
    NanoCpus: body.NanoCpus ?? 0,
    CpuShares: body.CpuShares ?? 0,
    CpuPeriod: body.CpuPeriod ?? 0,
    CpuQuota: body.CpuQuota ?? 0,
    CpusetCpus: body.CpusetCpus ?? '',
    CpusetMems: body.CpusetMems ?? '',
    PidsLimit: body.PidsLimit && body.PidsLimit > 0 ? body.PidsLimit : null,
    OomKillDisable: body.OomKillDisable ?? null,
    Ulimits: body.Ulimits ?? null,
    Devices: body.Devices ?? [],
    MaskedPaths: body.MaskedPaths ?? null,
    ReadonlyPaths: body.ReadonlyPaths ?? null,
    LogConfig: { Type: body.LogConfig?.Type || 'json-file', Config: body.LogConfig?.Config ?? {} },
  };
  checkLimits(host);
  checkModes(host);
  return host;
}

/** Refuses limits that the kernel would not take, or under which nothing could run. @throws ApiError 400 */
export function checkLimits(host: HostConfig): void {
  if (host.Memory !== 0 && host.Memory < LEAST_MEMORY)
    throw badParameter('Minimum memory limit allowed is 6MB');
  if (host.MemorySwap > 0 && host.Memory === 0)
    throw badParameter('You should always set the Memory limit when using Memoryswap limit, see usage');
  if (host.MemorySwap > 0 && host.MemorySwap < host.Memory)
    throw badParameter('Minimum memoryswap limit should be larger than memory limit, see usage');
  if (host.MemoryReservation !== 0 && host.MemoryReservation < LEAST_MEMORY)
    throw badParameter('Minimum memory reservation allowed is 6MB');
  if (host.Memory !== 0 && host.MemoryReservation > host.Memory)
    throw badParameter('Minimum memory limit can not be less than memory reservation limit, see usage');
  const processors = availableParallelism();
  if (host.NanoCpus < 0 || host.NanoCpus > processors * 1e9)
    throw badParameter(
      `range of CPUs is from 0.01 to ${processors}.00, as there are only ${processors} CPUs available`,
    );
  if (host.NanoCpus > 0 && (host.CpuPeriod > 0 || host.CpuQuota > 0))
    throw badParameter('Conflicting options: Nano CPUs and CPU Period or Quota cannot both be set');
  if (host.CpuPeriod !== 0 && (host.CpuPeriod < 1000 || host.CpuPeriod > 1_000_000))
    throw badParameter(
      'CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)',
    );
  if (host.CpuQuota > 0 && host.CpuQuota < 1000)
    throw badParameter('CPU cfs quota can not be less than 1ms (i.e. 1000)');
  if (host.OomScoreAdj < -1000 || host.OomScoreAdj > 1000)
    throw badParameter(`Invalid value ${host.OomScoreAdj}, range for oom score adj is [-1000, 1000]`);
}

function checkModes(host: HostConfig): void {
  const policies = ['no', 'always', 'unless-stopped', 'on-failure'];
  if (!policies.includes(host.RestartPolicy.Name))
    throw badParameter(
      `invalid restart policy: unknown policy '${host.RestartPolicy.Name}'; use one of ${policies.map((p) => `'${p}'`).join(', ')}`,
    );
  if (host.AutoRemove && host.RestartPolicy.Name !== 'no')
    throw badParameter("can't create 'AutoRemove' container with restart policy");
  if (!/^(bridge|host|none|container:.+)$/.test(host.NetworkMode))
    throw notImplemented(
      `network ${host.NetworkMode} not found: this engine has bridge, host, none and container:ID`,
    );
  if (!/^(|host|container:.+)$/.test(host.PidMode)) throw badParameter(`invalid PID mode: ${host.PidMode}`);
  if (!/^(none|private|shareable|host|container:.+)$/.test(host.IpcMode))
    throw badParameter(`invalid IPC mode: ${host.IpcMode}`);
  if (!/^(|host)$/.test(host.UTSMode)) throw badParameter(`invalid UTS mode: ${host.UTSMode}`);
  if (!/^(|host|private)$/.test(host.CgroupnsMode))
    throw badParameter(`invalid cgroup namespace mode: ${host.CgroupnsMode}`);
  if (Object.keys((host['PortBindings'] as object | undefined) ?? {}).length > 0)
    throw notImplemented(
      'published ports are not here yet: reach the container by its address on the bridge',
    );
}

/** @throws ApiError 400 */
export function checkSignal(signal: string): number {
  try {
    return signalNumber(signal);
  } catch (error) {
    throw badParameter(`Invalid signal: ${signal}`, error);
  }
}
